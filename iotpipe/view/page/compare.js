// Chooses the devices that are compared: a button and a list with a filter.
import { el, setText } from "./dom.js";

/** How many devices can be compared with one. */
export const MOST_OTHERS = 4;
const MOST_LISTED = 100;

/** A button "Compare" that opens a list. `choose(devices)` is called with the chosen ones when the list is closed. */
export class Compare {
  #device;
  #chosen;
  #choose;
  #known = [];
  #list = el("ul");
  #told = el("p", { class: "dim" });
  #filter = el("input", {
    type: "search",
    placeholder: "Filter by name",
    "aria-label": "Filter the devices to compare with",
    input: () => this.#show(),
  });
  #dialog;

  constructor(device, chosen, choose) {
    [this.#device, this.#chosen, this.#choose] = [device, new Set(chosen), choose];
    const done = el("button", { type: "button", class: "button", click: () => this.#dialog.close() }, "Done");
    this.#dialog = el(
      "dialog",
      { "aria-label": "Compare with other devices", close: () => this.#choose([...this.#chosen]) },
      el("h2", {}, "Compare with"),
      this.#filter,
      this.#list,
      this.#told,
      done,
    );
    const text = chosen.length ? `Compare (${chosen.length})` : "Compare";
    this.button = el(
      "button",
      { type: "button", class: "button", "aria-haspopup": "dialog", click: () => this.#open() },
      text,
    );
    this.root = el("div", {}, this.button, this.#dialog);
  }

  /** The names of all devices. */
  update(names) {
    this.#known = names.filter((name) => name !== this.#device);
  }

  #open() {
    this.#show();
    this.#dialog.showModal();
  }

  #show() {
    const text = this.#filter.value.toLowerCase();
    const found = this.#known.filter((name) => name.toLowerCase().includes(text));
    this.#list.replaceChildren(...found.slice(0, MOST_LISTED).map((name) => this.#entry(name)));
    const more = found.length > MOST_LISTED ? ` The list shows ${MOST_LISTED} of ${found.length}.` : "";
    setText(this.#told, `Up to ${MOST_OTHERS} devices.${more}`);
  }

  #entry(name) {
    const box = el("input", {
      type: "checkbox",
      checked: this.#chosen.has(name),
      disabled: !this.#chosen.has(name) && this.#chosen.size >= MOST_OTHERS,
      change: () => this.#toggle(name, box.checked),
    });
    return el("li", {}, el("label", {}, box, ` ${name}`));
  }

  #toggle(name, chosen) {
    if (chosen) this.#chosen.add(name);
    else this.#chosen.delete(name);
    for (const box of this.#list.querySelectorAll("input")) box.disabled = !box.checked && this.#chosen.size >= MOST_OTHERS;
  }
}
