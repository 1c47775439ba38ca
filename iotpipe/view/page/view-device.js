// One device: a chart per metric, beside other devices if wanted, and its newest rows.
import { deviceAddress, othersOf } from "./addresses.js";
import { Cancelled, Failed, get, NotAllowed, Unreachable } from "./api.js";
import { command } from "./commands.js";
import { Compare, MOST_OTHERS } from "./compare.js";
import { DeviceSeries } from "./device-series.js";
import { el, setAttribute, setText } from "./dom.js";
import { linesOf } from "./enrolment.js";
import { ago, clock, period } from "./format.js";
import { MetricCharts } from "./metric-charts.js";
import { isNumber } from "./metrics.js";
import { Choice, heading } from "./parts.js";
import { Polling } from "./polling.js";
import { RowsTable } from "./rows-table.js";

const HOUR = 3_600_000;
const SPANS = [
  [HOUR, "1 h"],
  [6 * HOUR, "6 h"],
  [24 * HOUR, "24 h"],
  [168 * HOUR, "7 d"],
  [720 * HOUR, "30 d"],
];
const LAST = new Map([
  [HOUR, "1h"],
  [6 * HOUR, "6h"],
  [24 * HOUR, "24h"],
  [168 * HOUR, "7d"],
  [720 * HOUR, "30d"],
]);
const SHORTEST_ZOOM = 10_000;
/** Milliseconds between two looks at the certificates and the connection, on this machine and on AWS. */
const CONNECTION = { local: 5_000, aws: 30_000 };

export class DeviceView {
  wantsDevices = true;
  #live;
  #device;
  #others;
  #span = 24 * HOUR;
  #series;
  #charts;
  #rows;
  #compare;
  #polling;
  #connection = null;
  #mqtt = el("p", { class: "mqtt dim", hidden: true });
  #problem = el("p", { class: "warn", role: "status" });
  #dot = el("span", { class: "dot" });
  #state = el("span");
  #spans = new Choice("Period", SPANS, this.#span, (span) => this.#setSpan(span));
  #unzoom = el(
    "button",
    { type: "button", class: "button accent", hidden: true, click: () => this.#setZoom(null) },
    "Back to live",
  );
  #nothing = el("p", { class: "nothing dim" });
  #export = el("dialog", { "aria-label": "Export readings" });

  constructor(live, device, others) {
    [this.#live, this.#device, this.title] = [live, device, device];
    this.#others = othersOf(others).slice(0, MOST_OTHERS);
    const devices = [device, ...this.#others];
    this.#series = new DeviceSeries(devices, this.#span, this.#numbersOf(devices));
    this.#charts = new MetricCharts(
      devices,
      (metric) => this.#latest(metric),
      (from, to) => this.#setZoom([from, to]),
      () => this.#setZoom(null),
    );
    this.#rows = new RowsTable(device);
    this.#compare = new Compare(device, this.#others, (chosen) => this.#compareWith(chosen));
    const exporting = el(
      "button",
      { type: "button", class: "button", "aria-haspopup": "dialog", click: () => this.#openExport() },
      "Export",
    );
    this.root = el(
      "div",
      {},
      el("p", {}, el("a", { class: "back", href: "#/devices" }, "← Devices")),
      heading(
        el("h1", {}, device),
        el("p", { class: "dim" }, this.#dot, this.#state),
        this.#unzoom,
        this.#spans.root,
        this.#compare.root,
        exporting,
      ),
      this.#mqtt,
      this.#problem,
      this.#nothing,
      this.#charts.root,
      this.#rows.root,
      this.#export,
    );
    this.#polling = new Polling(
      () => this.#refresh(),
      () => live.every,
    );
    if (live.hasMqtt)
      this.#connection = new Polling(
        () => this.#askConnection(),
        () => (live.environment.local ? CONNECTION.local : CONNECTION.aws),
      );
  }

  update() {
    const { devices } = this.#live;
    this.#compare.update(devices?.items.map((each) => each.device_id) ?? []);
    const own = this.#own();
    setAttribute(this.#dot, "class", `dot ${own?.silent ? "silent" : own ? "" : "never"}`);
    const seen = own
      ? `${own.silent ? "silent, last " : ""}seen ${ago(own.seen)}`
      : devices
        ? devices.complete
          ? "has sent nothing yet"
          : "not among the devices that are listed"
        : "";
    const reading = this.#series.loading ? `reading ${this.#shownPeriod()}` : "";
    const drawn = `each point is the mean of ${period(this.#series.length / 1000)}, the band from lowest to highest`;
    setText(this.#state, [seen, reading || drawn].filter(Boolean).join(" · "));
  }

  redraw() {
    this.#charts.redraw();
  }

  close() {
    this.#polling.stop();
    this.#connection?.stop();
    this.#series.cancel();
    this.#charts.close();
  }

  async #askConnection() {
    if (this.#live.connection) return;
    try {
      this.#showMqtt(linesOf(await get("device", { device: this.#device })));
    } catch (error) {
      if (error instanceof Failed) this.#showMqtt([[`MQTT: not known: ${error.message}`, ""]]);
      else if (!(error instanceof Unreachable || error instanceof NotAllowed)) throw error;
    }
  }

  #showMqtt(lines) {
    this.#mqtt.hidden = false;
    this.#mqtt.replaceChildren(...lines.map(([text, tone]) => el("span", { class: tone || null }, text)));
  }

  async #refresh() {
    if (this.#live.connection) return;
    try {
      const changed = await this.#series.refresh();
      if (changed || !this.#series.zoomed) this.#showCharts();
      await this.#rows.refresh();
      setText(this.#problem, "");
    } catch (error) {
      if (error instanceof Failed) setText(this.#problem, [error.message, error.hint].filter(Boolean).join(". "));
      else if (error instanceof Cancelled) this.#polling.soon();
      else if (!(error instanceof Unreachable || error instanceof NotAllowed)) throw error;
    }
  }

  #showCharts() {
    const left = this.#charts.update(this.#series);
    const none = !this.#series.loading && this.#series.metrics().length === 0;
    setText(
      this.#nothing,
      none
        ? `No numbers from this device in ${this.#shownPeriod()}.`
        : left
          ? `${left} more metrics are not drawn.`
          : "",
    );
    this.update();
  }

  #shownPeriod() {
    const [from, to] = this.#series.window;
    return period(Math.round((to - from) / 1000));
  }

  #setSpan(span) {
    this.#span = span;
    this.#series.setSpan(span);
    this.#unzoom.hidden = true;
    this.update();
    this.#polling.soon();
  }

  /** Show a fixed period in finer buckets; null goes back to the period that ends now. */
  #setZoom(zoomed) {
    if (zoomed && zoomed[1] - zoomed[0] < SHORTEST_ZOOM) return;
    if (!zoomed && !this.#series.zoomed) return;
    this.#series.setZoom(zoomed);
    this.#spans.set(zoomed ? null : this.#span);
    this.#unzoom.hidden = !zoomed;
    if (zoomed) setText(this.#unzoom, `${clock(zoomed[0])} to ${clock(zoomed[1])}: back to live`);
    this.#showCharts();
    this.#polling.soon();
  }

  #own() {
    return this.#live.devices?.items.find((each) => each.device_id === this.#device);
  }

  /** How many series the devices have, as far as that is known. */
  #numbersOf(devices) {
    const known = this.#live.devices?.items.filter((each) => devices.includes(each.device_id)) ?? [];
    return known.flatMap((each) => Object.values(each.latest).filter(isNumber)).length;
  }

  #latest(metric) {
    return this.#series.zoomed ? null : (this.#own()?.latest[metric] ?? null);
  }

  #compareWith(chosen) {
    const address = deviceAddress(this.#device, chosen);
    if (address !== location.hash) location.hash = address;
  }

  #openExport() {
    const [from, to] = this.#series.window.map((time) => new Date(time).toISOString());
    const when = this.#series.zoomed ? ["--from", from, "--to", to] : ["--last", LAST.get(this.#span)];
    const words = ["iotpipe", "query", this.#device, "--env", this.#live.environment.name, ...when];
    const file = this.#device.replace(/[^\w.-]/g, "_").replace(/^[.-]/, "_");
    this.#export.replaceChildren(
      el("h2", {}, "Export"),
      el("p", { class: "dim" }, "The terminal writes all rows of this period to a file, page by page:"),
      command(...words, "-o", `${file}.csv`),
      command(...words, "-o", `${file}.jsonl`),
      el("button", { type: "button", class: "button", click: () => this.#export.close() }, "Done"),
    );
    this.#export.showModal();
  }
}
