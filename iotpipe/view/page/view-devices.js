// Devices: when each was last seen, its latest values, and a filter by name.
import { DeviceTable } from "./device-table.js";
import { el, setText } from "./dom.js";
import { neverSeen, told } from "./enrolment.js";
import { many, now } from "./format.js";
import { heading } from "./parts.js";

/** The ages in a long list need not be right to the second. */
const LONG_LIST = 200,
  OFTEN_ENOUGH = 10_000;

export class DevicesView {
  title = "devices";
  wantsDevices = true;
  wantsEnrolment = true;
  #live;
  #shown = null;
  #shownEnrolment = null;
  #unseen = 0;
  #shownAt = 0;
  #table;
  #title = el("h1", {}, "Devices");
  #below = el("p", { class: "dim" });
  #card = el("section", { class: "card" });
  #filter = el("input", {
    class: "filter",
    type: "search",
    placeholder: "Filter by name  /",
    "aria-label": "Filter devices by name",
    input: () => this.#onFilter(),
    keydown: (event) => event.key === "Escape" && this.#filter.blur(),
  });

  constructor(live) {
    this.#live = live;
    this.#table = new DeviceTable(live.hasMqtt ? 3 : 4, { others: true, enrolment: live.hasMqtt });
    this.#card.append(this.#table.root);
    this.root = el("div", {}, heading(this.#title, this.#below, this.#filter), this.#card);
  }

  update() {
    const { devices, devicesProblem, enrolment } = this.#live;
    if (!devices) this.#card.hidden = true;
    if (!devices) return setText(this.#below, devicesProblem?.text ?? "Reading the newest row of every device");
    const same = devices === this.#shown && enrolment === this.#shownEnrolment;
    if (same && devices.items.length > LONG_LIST && now() - this.#shownAt < OFTEN_ENOUGH) return;
    [this.#shown, this.#shownEnrolment, this.#shownAt] = [devices, enrolment, now()];
    const unseen = enrolment ? neverSeen(devices, enrolment) : [];
    this.#unseen = unseen.length;
    this.#card.hidden = !devices.items.length && !unseen.length;
    this.#table.update([...devices.items, ...unseen], enrolment?.items);
    setText(
      this.#title,
      devices.complete ? many(devices.items.length, "device") : `More than ${many(devices.limit, "device")}`,
    );
    this.#onFilter();
  }

  close() {
    this.#table.close();
  }

  #onFilter() {
    const count = this.#table.filter(this.#filter.value);
    if (this.#shown) setText(this.#below, this.#told(this.#shown, count));
  }

  #told({ items, complete, limit }, shown) {
    const enrolled = told(this.#live.enrolment, this.#unseen);
    if (!items.length)
      return ["No device has sent a reading yet. iotpipe send-test-data sends some.", enrolled].filter(Boolean).join(" ");
    const silent = items.filter((device) => device.silent).length;
    const parts = [
      silent
        ? `${silent} silent: nothing came for three times their usual interval, or 5 minutes if that is longer.`
        : "All are reporting.",
    ];
    if (enrolled) parts.push(enrolled);
    if (!complete) parts.push(`Only the first ${limit.toLocaleString("en")} are listed.`);
    if (this.#filter.value) parts.push(`${many(shown, "name")} with “${this.#filter.value}”.`);
    else parts.push("Curves: the last 24 hours.");
    return parts.join(" ");
  }
}
