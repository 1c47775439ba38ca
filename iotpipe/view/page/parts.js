// Parts that several views have: the heading, the choice of a period, a time that grows old.
import { el, setText } from "./dom.js";
import { ago, utc } from "./format.js";

/** A heading with a line below it, and tools at its right. */
export function heading(title, below, ...tools) {
  return el("div", { class: "heading" }, el("div", {}, title, below), el("div", { class: "tools" }, tools));
}

/** Buttons of which one is pressed. `choices` are [value, text]; `choose(value)` is called with another one. */
export class Choice {
  #buttons;

  constructor(label, choices, chosen, choose) {
    this.#buttons = choices.map(([value, text]) => [
      value,
      el(
        "button",
        {
          type: "button",
          click: () => {
            this.set(value);
            choose(value);
          },
        },
        text,
      ),
    ]);
    this.root = el(
      "div",
      { class: "choice", role: "group", "aria-label": label },
      this.#buttons.map(([, button]) => button),
    );
    this.set(chosen);
  }

  /** Press the button of a value; null presses none. */
  set(chosen) {
    for (const [value, button] of this.#buttons) button.setAttribute("aria-pressed", String(value === chosen));
  }
}

/** Show in an element how long ago a time was; the time in UTC is its title. */
export function showAgo(node, time) {
  setText(node, ago(time));
  if (node.title !== utc(time)) node.title = utc(time);
}
