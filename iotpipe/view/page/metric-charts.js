// One chart per metric: of one device with its band from lowest to highest, or of several devices.
import { columnsOf, extent } from "./buckets.js";
import { Chart } from "./chart.js";
import { el } from "./dom.js";
import { measured, period } from "./format.js";
import { colourOf, colourOfDevice, inOrder, spaced } from "./metrics.js";

const MOST = 24;
/** For `uPlot.join`: a null of a table, which is a gap, stays one. */
const NULLS_STAY = [1, 1, 1, 1];

/** The charts of the metrics that a DeviceSeries has. `latest(metric)` is the newest value as text, or null. */
export class MetricCharts {
  #devices;
  #latest;
  #onZoom;
  #onReset;
  #charts = new Map();

  constructor(devices, latest, onZoom, onReset) {
    [this.#devices, this.#latest, this.#onZoom, this.#onReset] = [devices, latest, onZoom, onReset];
    this.root = el("div", { class: "metric-charts" });
  }

  /** Show what the series has. Returns the number of metrics without a chart. */
  update(series) {
    const all = inOrder(series.metrics());
    const metrics = all.slice(0, MOST);
    if (metrics.join("\n") !== [...this.#charts.keys()].join("\n")) this.#build(metrics);
    for (const metric of metrics) this.#show(metric, series);
    return all.length - metrics.length;
  }

  redraw() {
    for (const chart of this.#charts.values()) chart.redraw();
  }

  close() {
    for (const chart of this.#charts.values()) chart.close();
  }

  #build(metrics) {
    this.close();
    this.#charts = new Map(metrics.map((metric) => [metric, this.#chart(metric, metrics)]));
    this.root.replaceChildren(...[...this.#charts.values()].map((chart) => chart.root));
  }

  #chart(metric, metrics) {
    const alone = this.#devices.length === 1;
    const lines = this.#devices.map((device, i) => ({
      name: alone ? "" : device,
      colour: alone ? colourOf(metric, metrics) : colourOfDevice(i),
      band: true,
      newest: alone ? () => this.#latest(metric) : undefined,
    }));
    return new Chart({
      title: spaced(metric),
      height: 210,
      large: alone,
      sync: "device",
      lines,
      show: (value) => [measured(value), ""],
      onZoom: this.#onZoom,
      onReset: this.#onReset,
    });
  }

  #show(metric, series) {
    const found = this.#devices.map((device) => series.of(device, metric));
    const parts = found.map((buckets) => columnsOf(buckets, series.length));
    // Where one device has no bucket and another has, `join` leaves undefined, across which a line goes on.
    const columns =
      parts.length === 1
        ? parts[0].columns
        : uPlot.join(
            parts.map((each) => each.columns),
            parts.map(() => NULLS_STAY),
          );
    const gaps = parts.length === 1 ? parts[0].gaps : parts.map((each) => each.gaps).reduce(inBoth);
    const window = series.window.map((time) => time / 1000);
    const range = extentOf(found);
    this.#charts.get(metric).update({
      columns,
      window,
      gaps: parts.length === 1 ? [...gaps, ...atEdges(found[0], series, window)] : gaps,
      detail: range && parts.length === 1 ? `${measured(range[0])} to ${measured(range[1])}` : "",
      describe: `${this.#devices.join(", ")} over ${period(Math.round(window[1] - window[0]))}, ${spoken(range)}`,
    });
  }
}

/** The gaps that two devices have at the same time. */
function inBoth(some, others) {
  const pairs = some.flatMap((one) =>
    others.map((other) => ({ ...one, from: Math.max(one.from, other.from), to: Math.min(one.to, other.to) })),
  );
  return pairs.filter((gap) => gap.from < gap.to);
}

/** What is missing before the first and after the last bucket, if it is more than is usual between two. */
function atEdges(buckets, series, [from, to]) {
  const first = buckets.start[0] / 1000,
    last = (buckets.start.at(-1) + series.length) / 1000;
  const much = Math.max((to - from) / 20, (3 * series.length) / 1000);
  const gaps = [];
  if (first - from > much) gaps.push({ from, to: first, text: "no readings" });
  if (to - last > much) gaps.push({ from: last, to, text: "no readings" });
  return gaps;
}

function spoken(range) {
  return range ? `from ${measured(range[0])} to ${measured(range[1])}` : "no readings";
}

function extentOf(found) {
  const extents = found.map(extent).filter(Boolean);
  if (!extents.length) return null;
  return [Math.min(...extents.map((each) => each[0])), Math.max(...extents.map((each) => each[1]))];
}
