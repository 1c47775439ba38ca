// The table of devices: one row each, silent ones first, with latest values and curves of a day.
import { deviceAddress } from "./addresses.js";
import { el, setAttribute, setText } from "./dom.js";
import { isOdd, stateOf } from "./enrolment.js";
import { colourOf, inOrder, isNumber, spaced } from "./metrics.js";
import { showAgo } from "./parts.js";
import { Sparklines } from "./sparklines.js";

const MOST_OTHERS = 4;

/** A table with a column for each of the `most` metrics that most devices have. With `others` it names more values,
 *  with `enrolment` it has a column for the certificate. */
export class DeviceTable {
  #most;
  #mayShowOthers;
  #others = false;
  #enrolment;
  #sparklines = new Sparklines();
  #head = el("tr");
  #body = el("tbody");
  #rows = new Map();
  #metrics = [];

  constructor(most, { others = false, enrolment = false } = {}) {
    this.#most = most;
    this.#enrolment = enrolment;
    this.#mayShowOthers = others;
    const table = el("table", {}, el("thead", {}, this.#head), this.#body);
    this.root = el("div", { class: "table", role: "region", tabindex: 0, "aria-label": "Devices" }, table);
  }

  /** Show these devices, in their order, and what is known of those that are `enrolled`. */
  update(devices, enrolled = []) {
    const certificates = new Map(enrolled.map((each) => [each.device_id, each]));
    const metrics = commonest(devices, this.#most);
    const others =
      this.#mayShowOthers &&
      devices.some((device) => Object.keys(device.latest).some((name) => !metrics.includes(name)));
    const same = metrics.join("\n") === this.#metrics.join("\n") && others === this.#others;
    if (!same || !this.#head.childElementCount) this.#setColumns(metrics, others);
    const gone = new Set(this.#rows.keys());
    let before = null;
    for (const device of devices) {
      gone.delete(device.device_id);
      const row = this.#rows.get(device.device_id) ?? this.#newRow(device);
      row.update(device, certificates.get(device.device_id));
      const place = before ? before.nextSibling : this.#body.firstChild;
      if (place !== row.root) this.#body.insertBefore(row.root, place);
      before = row.root;
    }
    gone.forEach((id) => this.#remove(id));
  }

  /** Show only devices whose name contains a text. Returns how many these are. */
  filter(text) {
    const wanted = text.toLowerCase();
    let count = 0;
    for (const [id, row] of this.#rows) {
      row.root.hidden = !id.toLowerCase().includes(wanted);
      if (!row.root.hidden) count += 1;
    }
    return count;
  }

  close() {
    this.#sparklines.close();
  }

  #setColumns(metrics, others) {
    [this.#metrics, this.#others] = [metrics, others];
    [...this.#rows.keys()].forEach((id) => this.#remove(id));
    const heads = metrics.map((metric, i) => el("th", { scope: "col", class: i ? "wide" : null }, spaced(metric)));
    const last = others ? [el("th", { scope: "col", class: "wide" }, "others")] : [];
    this.#head.replaceChildren(
      el("th", { scope: "col" }, "Device"),
      el("th", { scope: "col" }, "Last seen"),
      ...(this.#enrolment ? [el("th", { scope: "col", class: "wide" }, "Certificate")] : []),
      ...heads,
      ...last,
    );
  }

  #newRow(device) {
    const row = new Row(device.device_id, this.#metrics, this.#others, this.#enrolment);
    this.#rows.set(device.device_id, row);
    const numeric = this.#metrics.filter((metric) => isNumber(device.latest[metric] ?? ""));
    this.#sparklines.watch(
      row.root,
      device.device_id,
      new Map(numeric.map((metric) => [metric, row.curves.get(metric)])),
    );
    return row;
  }

  #remove(id) {
    const { root } = this.#rows.get(id);
    this.#sparklines.unwatch(root);
    root.remove();
    this.#rows.delete(id);
  }
}

class Row {
  constructor(id, metrics, others, enrolment) {
    this.address = deviceAddress(id);
    this.metrics = metrics;
    this.dot = el("span", { class: "dot" });
    this.silent = el("span", { class: "wide" }, "silent, ");
    this.age = el("span");
    this.seen = el("td", {}, this.silent, this.age);
    this.values = new Map(metrics.map((metric) => [metric, el("span", { class: "value" })]));
    this.curves = new Map(
      metrics.map((metric) => [
        metric,
        el("span", { class: "curve", "--line-colour": `var(${colourOf(metric, metrics)})` }),
      ]),
    );
    this.others = others ? el("td", { class: "wide dim others" }) : null;
    const cells = metrics.map((metric, i) =>
      el("td", { class: i ? "wide" : null }, this.values.get(metric), this.curves.get(metric)),
    );
    const name = el("td", { class: "name" }, this.dot, el("a", { href: this.address, title: id }, id));
    this.certificate = enrolment ? el("td", { class: "wide dim" }) : null;
    this.root = el("tr", { click: (event) => this.#open(event) }, name, this.seen, this.certificate, cells, this.others);
  }

  update(device, enrolled) {
    setAttribute(this.dot, "class", `dot ${device.silent ? "silent" : device.seen === null ? "never" : ""}`);
    setAttribute(this.seen, "class", device.silent ? "warn" : "dim");
    setAttribute(this.silent, "hidden", !device.silent);
    if (device.seen === null) setText(this.age, "never");
    else showAgo(this.age, device.seen);
    if (this.certificate) {
      setText(this.certificate, stateOf(enrolled));
      setAttribute(this.certificate, "class", `wide ${isOdd(enrolled) ? "warn" : "dim"}`);
    }
    for (const [metric, value] of this.values) setText(value, device.latest[metric] ?? "");
    if (this.others) setText(this.others, named(device.latest, this.metrics));
  }

  /** The whole row leads to its device, unless text is being selected. */
  #open(event) {
    if (event.target.closest("a") || getSelection().toString()) return;
    location.hash = this.address;
  }
}

function named(latest, shown) {
  const others = Object.keys(latest).filter((metric) => !shown.includes(metric));
  const text = others
    .slice(0, MOST_OTHERS)
    .map((metric) => `${spaced(metric)} ${latest[metric]}`)
    .join(", ");
  return others.length > MOST_OTHERS ? `${text}, ${others.length - MOST_OTHERS} more` : text;
}

function commonest(devices, most) {
  const counts = new Map();
  for (const device of devices) {
    for (const metric of Object.keys(device.latest)) counts.set(metric, (counts.get(metric) ?? 0) + 1);
  }
  const names = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1)).slice(0, most);
  return inOrder(names);
}
