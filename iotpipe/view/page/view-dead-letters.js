// Dead letters: read only when the user asks, by reason, with what is wrong marked in the body.
import { NotAllowed, post, Unreachable } from "./api.js";
import { command } from "./commands.js";
import { el, setText } from "./dom.js";
import { kindOf, marked } from "./flaws.js";
import { ago, clock, many, number, utc } from "./format.js";
import { hintOf, sentence } from "./notices.js";
import { heading } from "./parts.js";

export class DeadLettersView {
  title = "dead letters";
  #live;
  #answer = null;
  #title = el("h1", {}, "Dead letters");
  #below = el("p", { class: "dim" });
  #look = el("button", { type: "button", class: "button accent", click: () => this.#onLook() }, "Look");
  #content = el("div");

  constructor(live) {
    this.#live = live;
    this.root = el("div", {}, heading(this.#title, this.#below, this.#look), this.#content);
  }

  update() {
    const box = this.#live.snapshot.nodes.find((node) => node.kind === "dead-letters");
    // For some seconds after a look the queue hides what was looked at.
    const known = this.#answer ? number(Math.max(this.#answer.total, this.#answer.items.length)) : (box?.value ?? null);
    setText(this.#title, known === null ? "Dead letters" : `${known} dead letter${known === "1" ? "" : "s"}`);
    if (this.#answer) setText(this.#below, this.#told(this.#answer));
    else
      setText(
        this.#below,
        known === "0"
          ? "No message has failed for good."
          : "Looking reads them and leaves them where they are, but counts as one more receive of each.",
      );
  }

  close() {}

  async #onLook() {
    this.#look.disabled = true;
    setText(this.#look, "Looking");
    try {
      this.#answer = await post("dead-letters");
      this.#show(this.#answer.items);
    } catch (error) {
      this.#showProblem(error);
    }
    setText(this.#look, "Look again");
    this.#look.disabled = false;
    this.update();
  }

  #told({ looked_at: at, total, items }) {
    const accepted = items.filter((letter) => letter.reason === null).length;
    const would = !items.length
      ? "The queue is empty."
      : accepted
        ? `${number(accepted)} of ${number(items.length)} would be processed if sent back.`
        : "None would be processed if sent back.";
    const more = total > items.length ? ` ${many(items.length, "letter")} of about ${number(total)} are shown.` : "";
    return `${would}${more} Looked at ${ago(at)}.`;
  }

  #show(letters) {
    const groups = grouped(letters);
    const detail = el("section", { class: "card letter-detail" });
    const buttons = [];
    const cards = [...groups]
      .sort((a, b) => b[1].length - a[1].length)
      .map(([kind, members]) => {
        const list = members.map((letter) => entry(letter, (button) => this.#choose(letter, button, buttons, detail)));
        buttons.push(...list);
        return el(
          "section",
          { class: "card group" },
          el("header", {}, el("h2", {}, kind), el("span", { class: "dim" }, `${number(members.length)}×`)),
          list,
        );
      });
    this.#content.replaceChildren(
      letters.length ? el("div", { class: "letters" }, el("div", { class: "groups" }, cards), detail) : "",
    );
    buttons[0]?.click();
    scrollTo(0, 0);
  }

  #choose(letter, button, buttons, detail) {
    for (const each of buttons) each.removeAttribute("aria-current");
    button.setAttribute("aria-current", "true");
    const [before, flaw, after] = marked(letter.payload ?? letter.body, letter.reason);
    const environment = ["--env", this.#live.environment.name];
    detail.replaceChildren(
      el("header", {}, el("h2", {}, letter.reason ?? "Nothing is wrong with it")),
      facts(letter),
      el(
        "pre",
        { class: "body", tabindex: 0, "aria-label": letter.payload ? "What the device published" : "Body of the message" },
        before,
        flaw ? el("mark", {}, flaw) : null,
        after,
      ),
      el(
        "p",
        { class: "explained dim" },
        "This page changes nothing. In the terminal, the first command sends all back, the second deletes all:",
      ),
      command("iotpipe", "dlq", "redrive", ...environment),
      command("iotpipe", "dlq", "purge", ...environment),
    );
    // On a phone the letter is shown below the list.
    detail.scrollIntoView({ block: "nearest" });
  }

  #showProblem(error) {
    if (error instanceof Unreachable || error instanceof NotAllowed) return this.#live.soon();
    this.#content.replaceChildren(
      el(
        "section",
        { class: "card problem", role: "status" },
        el("p", { class: "warn" }, sentence(error.message)),
        hintOf(error.hint),
      ),
    );
  }
}

function grouped(letters) {
  const groups = new Map();
  for (const letter of letters)
    groups.set(kindOf(letter.reason), [...(groups.get(kindOf(letter.reason)) ?? []), letter]);
  return groups;
}

function entry(letter, choose) {
  const receives = letter.receives === null ? "" : `received ${many(letter.receives, "time")}`;
  const device = letter.device ?? el("span", { class: "dim" }, "no device");
  const button = el(
    "button",
    { type: "button", class: "letter", click: () => choose(button) },
    el("span", { class: "dim" }, clock(letter.sent, true)),
    el("span", { class: "device" }, device),
    el("span", { class: "dim" }, receives),
  );
  return button;
}

function facts({ sent, device, id, failure }) {
  const rows = [
    ...(failure ? [["AWS IoT", `could not queue it: ${failure}`]] : []),
    ["sent", `${clock(sent, true)}, ${ago(sent)}`],
    ["device", device ?? "the body does not name one"],
    ["message", id],
  ];
  return el(
    "dl",
    { class: "facts", title: utc(sent) },
    rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
  );
}
