// Numbers, times and durations as text. Times are epoch milliseconds, shown in the time zone of the browser.

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const CLOCK_SECONDS = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

let ahead = 0;

/** Use the clock of the server: that of the browser may be wrong. */
export function setServerTime(milliseconds) {
  ahead = milliseconds - Date.now();
}

/** The time now. */
export function now() {
  return Date.now() + ahead;
}

/** A number with thousands separators and at most this many decimals. */
export function number(value, decimals = 0) {
  return value.toLocaleString("en", { maximumFractionDigits: decimals });
}

/** A rate: with one decimal where it is small. */
export function rate(value) {
  return value.toLocaleString("en", {
    maximumFractionDigits: value < 100 ? 1 : 0,
    minimumFractionDigits: value < 100 ? 1 : 0,
  });
}

/** A mean or an extreme: as many digits as tell it from its neighbours on the screen. */
export function measured(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e15 || size < 1e-4)) return value.toExponential(3);
  const decimals = size >= 1000 ? 1 : size >= 1 ? 2 : 4;
  return value.toLocaleString("en", { maximumFractionDigits: decimals });
}

/** A number of milliseconds as [number, unit]. */
export function duration(milliseconds) {
  if (milliseconds >= 3_600_000) return [number(milliseconds / 3_600_000, 1), "h"];
  if (milliseconds >= 60_000) return [number(milliseconds / 60_000, 1), "min"];
  if (milliseconds >= 1000) return [number(milliseconds / 1000, milliseconds < 10_000 ? 1 : 0), "s"];
  return [number(milliseconds, milliseconds > 0 && milliseconds < 1 ? 1 : 0), "ms"];
}

/** How long ago a time was. */
export function ago(time) {
  const seconds = (now() - time) / 1000;
  if (seconds < 5) return "now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}

/** 13:45, or 13:45:10; with the day if it is not today. */
export function clock(time, seconds = false) {
  const text = (seconds ? CLOCK_SECONDS : CLOCK).format(time);
  return DAY.format(time) === DAY.format(now()) ? text : `${DAY.format(time)}, ${text}`;
}

/** The label of a time axis whose labels are this many seconds apart. */
export function axisLabel(time, apart) {
  if (apart >= 86_400) return DAY.format(time);
  return (apart < 60 ? CLOCK_SECONDS : CLOCK).format(time);
}

/** The time in UTC, as it is shown on hover. */
export function utc(time) {
  return new Date(time).toISOString().replace("T", " ").replace("Z", " UTC");
}

/** "1 device", "2 devices". */
export function many(count, what) {
  return `${number(count)} ${what}${count === 1 ? "" : "s"}`;
}

/** The period of a snapshot or a chart in words: 900 s is "15 minutes". */
export function period(seconds) {
  if (seconds < 60) return `${number(seconds)} seconds`;
  if (seconds === 60) return "1 minute";
  if (seconds >= 172_800) return `${number(seconds / 86_400, 1)} days`;
  if (seconds > 3600) return `${number(seconds / 3600, 1)} hours`;
  return seconds === 3600 ? "1 hour" : `${number(seconds / 60)} minutes`;
}
