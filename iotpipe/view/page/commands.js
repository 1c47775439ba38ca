// Commands to copy: this page changes nothing, the terminal does.
import { el } from "./dom.js";

const PLAIN = /^[\w@%+=:,./-]+$/;

/** The words of a command as one line for a shell. */
export function shellLine(words) {
  return words.map((word) => (PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");
}

/** A line with a command and a button that copies it. */
export function command(...words) {
  const line = shellLine(words);
  const text = el("code", { tabindex: 0 }, line);
  const button = el("button", { type: "button", click: copy }, "Copy");
  async function copy() {
    try {
      await navigator.clipboard.writeText(line);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  }
  return el("div", { class: "command" }, text, button);
}
