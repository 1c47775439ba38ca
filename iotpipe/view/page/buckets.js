// Buckets of a device's numbers: which length to ask for, what is joined by a line, and what is a gap.

const SECOND = 1000,
  MINUTE = 60_000,
  HOUR = 3_600_000,
  DAY = 86_400_000;
const LENGTHS = [
  [10 * SECOND, "10s"],
  [30 * SECOND, "30s"],
  [MINUTE, "1m"],
  [2 * MINUTE, "2m"],
  [5 * MINUTE, "5m"],
  [10 * MINUTE, "10m"],
  [15 * MINUTE, "15m"],
  [30 * MINUTE, "30m"],
  [HOUR, "1h"],
  [2 * HOUR, "2h"],
  [6 * HOUR, "6h"],
  [12 * HOUR, "12h"],
  [DAY, "1d"],
  [7 * DAY, "7d"],
];
const MOST = 400;
/** An answer ends after 5,000 buckets. */
export const MOST_OF_ALL = 4800;

/** The shortest length [milliseconds, text] that keeps `count` series over a period within what can be asked for. */
export function bucketLength(milliseconds, count = 1) {
  const most = Math.min(MOST, Math.floor(MOST_OF_ALL / count));
  return LENGTHS.find(([length]) => milliseconds / length <= most) ?? LENGTHS.at(-1);
}

/** How far apart two buckets may be and still be joined: three times what is usual, as a device becomes silent. */
export function joinedWithin(starts, length) {
  const apart = starts
    .slice(1)
    .map((start, i) => start - starts[i])
    .sort((a, b) => a - b);
  return Math.max(1.5 * length, 3 * (apart[Math.floor(apart.length / 2)] ?? 0));
}

/** Buckets of one series that grow at their end. */
export class Buckets {
  start = [];
  mean = [];
  min = [];
  max = [];
  last = [];

  /** Take over newer buckets: they replace those from `from` on, and those older than `oldest` are dropped. */
  merge(newer, from, oldest) {
    const first = this.start.findIndex((start) => start >= oldest);
    const end = this.start.findIndex((start) => start >= from);
    const keep = [first < 0 ? this.start.length : first, end < 0 ? this.start.length : end];
    for (const name of ["start", "mean", "min", "max", "last"])
      this[name] = [...this[name].slice(...keep), ...newer[name]];
  }
}

/** Columns [times in seconds, mean, min, max] with a null in each gap, and the gaps [{from, to}] in seconds. */
export function columnsOf(buckets, length) {
  const within = joinedWithin(buckets.start, length);
  const columns = [[], [], [], []];
  const gaps = [];
  buckets.start.forEach((start, i) => {
    const before = buckets.start[i - 1];
    if (i > 0 && start - before > within) {
      add(columns, (before + length) / 1000, null, null, null);
      gaps.push({ from: (before + length) / 1000, to: start / 1000, text: "no readings" });
    }
    add(columns, start / 1000, buckets.mean[i], buckets.min[i], buckets.max[i]);
  });
  return { columns, gaps };
}

function add(columns, ...values) {
  values.forEach((value, i) => columns[i].push(value));
}

/** The lowest and highest value; null without any. */
export function extent(buckets) {
  if (!buckets.start.length) return null;
  return [buckets.min.reduce((a, b) => Math.min(a, b)), buckets.max.reduce((a, b) => Math.max(a, b))];
}
