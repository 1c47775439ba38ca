// A chart of values over time: gaps stay gaps, the cursor is shared, and the arrow keys read values aloud.
import { announce, colour, el, setAttribute } from "./dom.js";
import { axisLabel, clock } from "./format.js";
import { hatch } from "./hatching.js";

const FONT = "11.5px Inter, system-ui, sans-serif";
const WHOLE = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((each) => each * 10 ** power)).flat();
const KEYS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };

/**
 * A chart as a card.
 *
 * `lines` are [{name, colour, fill, band, newest}]: a line with a band has two more columns, its lowest and highest
 * values, and `newest()` may tell a newer value than the line has. `show(value)` is [number, unit], and `whole` says
 * that values are counts. `sync` is the key of the charts that share a cursor. With `onZoom(from, to)` a drag selects
 * a period, and a double click calls `onReset()`.
 */
export class Chart {
  #options;
  #host;
  #values;
  #detail = el("small", { class: "detail" });
  #plot = null;
  #data = [[]];
  #window = [0, 1];
  #gaps = [];
  #resize = new ResizeObserver(() => this.#fit());

  constructor(options) {
    this.#options = options;
    this.#host = el("div", {
      class: "plot",
      tabindex: 0,
      role: "img",
      "aria-label": options.title,
      keydown: (event) => this.#onKey(event),
    });
    this.#values = el("span", { class: "values" });
    const title = el("h2", { title: options.title }, options.title);
    this.root = el(
      "section",
      { class: `card chart ${options.large ? "large" : ""}` },
      el("header", {}, title, this.#detail, this.#values),
      this.#host,
    );
    this.#host.style.height = `${options.height}px`;
    this.#resize.observe(this.#host);
  }

  /**
   * Show columns [times, values...] in seconds, within the window [from, to], with hatched gaps [{from, to, text}].
   * `describe` says for screen readers what is shown.
   */
  update({ columns, window, gaps = [], detail = "", describe }) {
    [this.#data, this.#window, this.#gaps] = [columns, window, gaps];
    this.#detail.textContent = detail;
    setAttribute(this.#host, "aria-label", `${this.#options.title}: ${describe}. Arrow keys read single values.`);
    this.#plot?.setData(columns);
    if (!this.#plot) this.#fit();
    this.#showValues(this.#plot?.cursor.idx ?? null);
  }

  /** Draw again, in the colours of the current theme. */
  redraw() {
    this.#plot?.redraw(false);
  }

  close() {
    this.#resize.disconnect();
    this.#plot?.destroy();
  }

  #fit() {
    const width = this.#host.clientWidth;
    if (!width || !this.#data[0].length) return;
    if (this.#plot) this.#plot.setSize({ width, height: this.#options.height });
    else this.#plot = new uPlot(this.#uplotOptions(width), this.#data, this.#host);
  }

  #uplotOptions(width) {
    const { height, lines, sync, zero, onZoom, onReset } = this.#options;
    return {
      width,
      height,
      padding: [10, 20, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        points: { size: 6 },
        drag: { x: Boolean(onZoom), y: false, setScale: false },
        sync: { key: sync },
        bind: { dblclick: () => () => onReset?.() },
      },
      scales: {
        x: { time: true, range: () => this.#window },
        y: { range: (_, low, high) => valueRange(low, high, zero) },
      },
      axes: this.#axes(),
      series: [{}, ...lines.flatMap(seriesOf)],
      bands: bandsOf(lines),
      hooks: {
        setCursor: [(plot) => this.#showValues(plot.cursor.idx)],
        setSelect: [(plot) => this.#onSelect(plot)],
        drawClear: [(plot) => this.#gaps.forEach((gap) => hatch(plot, gap))],
      },
    };
  }

  #axes() {
    const look = { stroke: () => colour("--dim"), font: FONT, ticks: { show: false } };
    const grid = { stroke: () => colour("--line"), width: 1 };
    const times = (_, splits, axis, space, apart) => splits.map((time) => axisLabel(time * 1000, apart));
    const values = (_, splits) => splits.map((value) => this.#axisValue(value, splits));
    return [
      { ...look, grid: { show: false }, size: 26, space: 76, values: times },
      { ...look, grid, size: 52, space: 34, gap: 6, values, incrs: this.#options.whole ? WHOLE : undefined },
    ];
  }

  #axisValue(value, splits) {
    if (value === null) return "";
    if (this.#options.showAxis) return this.#options.showAxis(value);
    const decimals = Math.min(
      6,
      Math.max(0, ...splits.map((each) => String(Number(each?.toPrecision(10))).split(".")[1]?.length ?? 0)),
    );
    return Math.abs(value) >= 1e6
      ? value.toExponential(1)
      : value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  }

  #onSelect(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    const [from, to] = [left, left + width].map((pixel) => plot.posToVal(pixel, "x"));
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.#options.onZoom(from * 1000, to * 1000);
  }

  /** The values at an index; without one the newest of each line. */
  #showValues(index) {
    let column = 1;
    const parts = this.#options.lines.map((line) => {
      const values = this.#data[column] ?? [];
      column += line.band ? 3 : 1;
      const value = index === null ? (line.newest ? line.newest() : newest(values)) : values[index];
      const [text, unit] =
        value === null || value === undefined
          ? ["–", ""]
          : typeof value === "string"
            ? [value, ""]
            : this.#options.show(value);
      return el(
        "span",
        { "--line-colour": `var(${line.colour})` },
        line.name ? el("small", {}, `${line.name} `) : null,
        text,
        unit ? el("small", {}, ` ${unit}`) : null,
      );
    });
    this.#values.replaceChildren(...parts);
  }

  #onKey(event) {
    const step = KEYS[event.key];
    const times = this.#data[0];
    if (!step || !this.#plot || !times.length || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const index = Math.max(0, Math.min(times.length - 1, (this.#plot.cursor.idx ?? times.length - 1) + step));
    this.#plot.setCursor({ left: this.#plot.valToPos(times[index], "x"), top: 10 });
    const said = [...this.#values.children].map((each) => each.textContent).join(", ");
    announce(`${clock(times[index] * 1000, true)}: ${said === "–" ? "no value" : said}`);
  }
}

function newest(values) {
  for (let i = values.length - 1; i >= 0; i--) if (values[i] !== null && values[i] !== undefined) return values[i];
  return null;
}

function valueRange(low, high, zero) {
  if (low === null) return [0, 1];
  if (zero) return [0, high > 0 ? high * 1.12 : 1];
  const around = (high - low || Math.abs(high) || 1) * 0.1;
  return [low - around, high + around];
}

function seriesOf(line) {
  const drawn = {
    stroke: () => colour(line.colour),
    width: 1.6,
    fill: line.fill ? () => `${colour(line.colour)}22` : undefined,
    spanGaps: false,
    points: { show: true, size: 4, stroke: () => colour(line.colour), fill: () => colour(line.colour), filter: lonely },
  };
  const edge = { stroke: undefined, width: 0, points: { show: false }, spanGaps: false };
  return line.band ? [drawn, edge, edge] : [drawn];
}

/** The indices of values without a neighbour: a line would not show them. */
function lonely(plot, series) {
  const values = plot.data[series];
  const next = (i, step) => {
    for (i += step; i >= 0 && i < values.length && values[i] === undefined; i += step);
    return values[i] ?? null;
  };
  const found = [];
  for (let i = 0; i < values.length; i++) {
    if (values[i] !== null && values[i] !== undefined && next(i, -1) === null && next(i, 1) === null) found.push(i);
  }
  return found;
}

function bandsOf(lines) {
  const bands = [];
  let column = 1;
  for (const line of lines) {
    if (line.band) bands.push({ series: [column + 2, column + 1], fill: () => `${colour(line.colour)}26` });
    column += line.band ? 3 : 1;
  }
  return bands;
}
