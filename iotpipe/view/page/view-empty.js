// What is shown while nothing is known of the pipeline, and why.
import { el } from "./dom.js";
import { hintOf, sentence } from "./notices.js";

export class EmptyView {
  title = "";
  #live;
  #shown = null;

  constructor(live) {
    this.#live = live;
    this.root = el("div", { class: "empty" });
  }

  update() {
    const { missing, connection } = this.#live;
    const text = connection ? "Nothing to show yet" : missing ? sentence(missing.text) : "Reading the pipeline";
    const after = missing && !connection ? "This page fills by itself when there is something to see." : "";
    if (this.#shown === text) return;
    this.#shown = text;
    this.root.replaceChildren(
      el("h1", {}, text),
      el("p", { class: "dim" }, after),
      connection || !missing ? "" : (hintOf(missing.hint) ?? ""),
    );
  }

  close() {}
}
