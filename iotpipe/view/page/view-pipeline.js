// Pipeline: what is going on in one sentence, the data flow with live numbers, four charts, devices, and what failed.
import { Chart } from "./chart.js";
import { command } from "./commands.js";
import { DeviceTable } from "./device-table.js";
import { el, setAttribute, setText } from "./dom.js";
import { ago, clock, duration, many, now, number, period, rate } from "./format.js";
import { heading, Choice, showAgo } from "./parts.js";
import { Picture } from "./picture.js";

const RANGES = [
  [900, "15 min"],
  [3600, "1 h"],
  [21_600, "6 h"],
  [86_400, "24 h"],
  [604_800, "7 d"],
];
const SINCE = { 900: "15m", 3600: "1h", 21_600: "6h", 86_400: "1d", 604_800: "7d" };
const MOST_DEVICES = 6,
  MOST_REASONS = 6,
  OLD = 15_000;

export class PipelineView {
  title = "";
  wantsDevices = true;
  #live;
  #sentence = el("h1");
  #summary = el("p", { class: "dim" });
  #picture = new Picture();
  #charts;
  #devices = new DeviceTable(3);
  #allDevices = el("a", { class: "more", href: "#/devices" }, "All");
  #noDevices = el("p", { class: "nothing dim" });
  #reasons = el("ul", { class: "reasons" });
  #reasonPeriod = el("span", { class: "dim" });
  #logs = el("div");
  #alarms = el("section", { class: "card alarms", hidden: true });
  #told = {};

  constructor(live) {
    this.#live = live;
    this.#charts = fourCharts(live.snapshot.series.published.length > 0);
    const range = new Choice("Period", RANGES, live.range, (seconds) => live.setRange(seconds));
    const devices = el(
      "section",
      { class: "card" },
      el("header", {}, el("h2", {}, "Devices"), el("span", { class: "dim" }, "curves of 24 h"), this.#allDevices),
      this.#devices.root,
      this.#noDevices,
    );
    const failed = el(
      "section",
      { class: "card" },
      el(
        "header",
        {},
        el("h2", {}, "Refused and given back"),
        this.#reasonPeriod,
        el("a", { class: "more", href: "#/dead-letters" }, "Dead letters"),
      ),
      this.#reasons,
      this.#logs,
    );
    this.root = el(
      "div",
      {},
      heading(this.#sentence, this.#summary, range.root),
      this.#alarms,
      this.#picture.root,
      el(
        "div",
        { class: "four" },
        Object.values(this.#charts).map((chart) => chart.root),
      ),
      el("div", { class: "two" }, devices, failed),
    );
  }

  update() {
    const { snapshot } = this.#live;
    this.#unlessTold("sentence", snapshot.sentence, (parts) => this.#sentence.replaceChildren(...parts.map(part)));
    setText(this.#summary, snapshot.summary);
    this.#picture.update(snapshot, sources(snapshot));
    this.#unlessTold("series", [snapshot.series, snapshot.range], () => this.#showCharts(snapshot));
    this.#unlessTold("alarms", snapshot.alarms.firing, (firing) => this.#showAlarms(firing));
    this.#showReasons(snapshot);
    this.#showDevices(this.#live.devices);
  }

  redraw() {
    for (const chart of Object.values(this.#charts)) chart.redraw();
  }

  close() {
    for (const each of [this.#picture, this.#devices, ...Object.values(this.#charts)]) each.close();
  }

  /** Call `show` only with what has changed, so that focus and selection survive. */
  #unlessTold(name, what, show) {
    const text = JSON.stringify(what);
    if (this.#told[name] === text) return;
    this.#told[name] = text;
    show(what);
  }

  #showCharts({ series, range }) {
    const count = Math.max(series.accepted.length, series.waiting.length);
    const times = Array.from({ length: count }, (_, i) => (series.start + i * series.step) / 1000);
    const end = (series.start + count * series.step) / 1000;
    const told = series.told_until === null ? end : series.told_until / 1000;
    const step = series.step / 1000;
    const shown = { window: [series.start / 1000, end - step], detail: "" };
    const show = (chart, lines, gaps, what) =>
      chart.update({ ...shown, columns: [times, ...lines], gaps, describe: `${what} over ${period(range)}` });
    const late = lateOf(series, count);
    const unknown = (values) => gapsOf(values, times, step, told);
    show(
      this.#charts.accepted,
      [series.accepted],
      [...unknown(series.accepted), ...late],
      "readings accepted per second",
    );
    show(
      this.#charts.waiting,
      series.published.length ? [series.waiting, series.published] : [series.waiting],
      gapsOf(series.waiting, times, step, Infinity),
      series.published.length ? "readings and device messages in their queues" : "messages in the queue",
    );
    show(this.#charts.stored, [series.stored], [...unknown(series.stored), ...late], "readings stored per second");
    // A period in which nothing was stored has no time to store, so only a series that is not known at all is hatched.
    const untold = series.told_until === null ? [{ from: times[0], to: end, text: "not known" }] : late;
    show(this.#charts.time, [series.p50, series.p95], untold, "time from received to stored, median and 95th percentile");
  }

  #showAlarms(firing) {
    this.#alarms.hidden = !firing.length;
    this.#alarms.replaceChildren(
      el("header", {}, el("h2", { class: "bad" }, `${many(firing.length, "alarm")} firing`)),
      el(
        "ul",
        { class: "reasons" },
        firing.map((alarm) =>
          el(
            "li",
            {},
            el("span", {}, alarm.name),
            el("time", { title: alarm.since }, ago(Date.parse(alarm.since))),
            el("small", {}, alarm.reason),
          ),
        ),
      ),
    );
  }

  #showReasons({ reasons, range, series, environment }) {
    const isKnown = series.told_until !== null;
    this.#unlessTold("reasons", [reasons, isKnown], () => {
      const nothing = el(
        "li",
        { class: "nothing" },
        el(
          "span",
          { class: "dim" },
          isKnown ? "Nothing was refused or given back." : "Whether something was refused or given back is not known.",
        ),
      );
      const more = reasons.length - MOST_REASONS;
      const rest = more > 0 ? [el("li", { class: "nothing dim" }, `and ${many(more, "other reason")}`)] : [];
      this.#reasons.replaceChildren(
        ...(reasons.length ? reasons.slice(0, MOST_REASONS).map(reason) : [nothing]),
        ...rest,
      );
    });
    for (const time of this.#reasons.querySelectorAll("time")) showAgo(time, Number(time.dataset.time));
    setText(this.#reasonPeriod, `in ${period(range)}`);
    this.#unlessTold("logs", [range, environment], () =>
      this.#logs.replaceChildren(command("iotpipe", "logs", "--env", environment, "--since", SINCE[range])),
    );
  }

  #showDevices(devices) {
    const items = devices?.items ?? [];
    setText(this.#allDevices, devices ? `All ${number(items.length)}` : "All");
    this.#devices.root.hidden = !items.length;
    this.#noDevices.hidden = items.length > 0;
    setText(
      this.#noDevices,
      devices ? "No device has sent a reading yet." : (this.#live.devicesProblem?.text ?? "Reading the newest rows."),
    );
    if (items.length) this.#devices.update(items.slice(0, MOST_DEVICES));
  }
}

function fourCharts(hasDevices) {
  const small = { height: 122, sync: "pipeline", zero: true };
  const perSecond = (value) => [rate(value), "/s"];
  const line = (name, colour, fill) => ({ name, colour, fill });
  return {
    accepted: new Chart({ ...small, title: "Accepted", lines: [line("", "--flow", true)], show: perSecond }),
    waiting: new Chart({
      ...small,
      title: hasDevices ? "Waiting" : "Waiting in the queue",
      whole: true,
      lines: hasDevices ? [line("readings", "--flow", true), line("devices", "--c3")] : [line("", "--flow", true)],
      show: (value) => [number(value), ""],
    }),
    stored: new Chart({ ...small, title: "Stored", lines: [line("", "--flow", true)], show: perSecond }),
    time: new Chart({
      ...small,
      title: "Time to store",
      lines: [line("p50", "--flow"), line("p95", "--c3")],
      show: duration,
      showAxis: (value) => (value ? duration(value).join(" ") : "0"),
    }),
  };
}

/** The end of a series of `count` buckets that is not told yet, from the newest value on. */
export function lateOf({ start, step, told_until: told }, count) {
  const end = start + count * step;
  return told !== null && told < end - step
    ? [{ from: (told - step) / 1000, to: end / 1000, text: "not told yet" }]
    : [];
}

/** The runs of values that are not known, up to a time. */
function gapsOf(values, times, step, until) {
  const gaps = [];
  values.forEach((value, i) => {
    if (value !== null || times[i] >= until) return;
    const last = gaps.at(-1);
    if (last && last.to === times[i]) last.to += step;
    else gaps.push({ from: times[i], to: times[i] + step, text: "not known" });
  });
  return gaps;
}

function part({ text, to, tone }) {
  return to ? el("a", { href: `#/${to}`, "data-tone": tone ?? null }, text) : text;
}

function reason({ count, text, detail, last }) {
  return el(
    "li",
    {},
    el("b", {}, `${number(count)}×`),
    el("span", {}, text),
    el("time", { "data-time": last }, ago(last)),
    el("small", {}, detail),
  );
}

/** Where the numbers come from and how old they are. */
function sources({ sources: all, alarms, series }) {
  return all.map((source) => {
    const state =
      source.name === "alarms" && !alarms.evaluated
        ? "not evaluated"
        : source.problem
          ? "not up to date"
          : stateOf(source, series.told_until);
    const node = el(
      "span",
      { title: `from ${source.from}${source.problem ? `: ${source.problem}` : ""}` },
      el("b", {}, source.name),
      ` ${state}`,
    );
    setAttribute(node, "data-tone", source.problem ? "warn" : null);
    return node;
  });
}

/** How old a source is. CloudWatch's counts are as old as the newest minute it tells; of its metrics that differs. */
function stateOf({ name, as_of: time }, told) {
  if (name === "metrics" && time !== null) return `asked for ${ago(time)}`;
  return age(name === "counts" && told !== null ? Math.min(time, told) : time);
}

function age(time) {
  if (time === null) return "not read yet";
  const behind = now() - time;
  return behind < OLD ? "now" : `to ${clock(time)}, ${duration(behind).join(" ")} behind`;
}
