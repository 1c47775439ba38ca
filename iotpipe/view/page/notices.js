// What is wrong with what is shown: a lost connection, an AWS that does not answer, numbers that are old.
import { el } from "./dom.js";
import { command } from "./commands.js";
import { clock } from "./format.js";

const place = document.getElementById("notices");
let shown = "";

/** Show what keeps the page from being up to date, and since when. */
export function showNotices(live) {
  const notices = live.snapshot || live.connection ? found(live) : [];
  const text = JSON.stringify(notices);
  if (text === shown) return;
  shown = text;
  place.replaceChildren(...notices.map(notice));
}

function found(live) {
  const after = live.snapshot ? " The page shows what it knew until then, and goes on by itself." : "";
  if (live.connection === "lost") {
    return [{ text: `No answer from iotpipe view since ${clock(live.connectionSince, true)}.${after}`, hint: "" }];
  }
  if (live.connection === "not allowed") {
    const why = live.linkRefused
      ? "This link was used already or is older than a minute."
      : "This page has no key, or one that is no longer accepted.";
    return [
      {
        text: `${why} Press Enter in the terminal where iotpipe view runs, and open the link that it prints.`,
        hint: "",
      },
    ];
  }
  if (live.missing)
    return [
      {
        text: `${sentence(live.missing.text)} Not up to date since ${clock(live.missing.since, true)}.${after}`,
        hint: live.missing.hint,
      },
    ];
  return problems(live.snapshot.sources).map(({ names, problem, since }) => {
    const old = since ? ` Not up to date since ${clock(since, true)}.` : "";
    return { text: sentence(`${names.join(" and ")}: ${problem}`) + old, hint: "" };
  });
}

/** What is wrong with the sources, once for those that have it in common. */
function problems(sources) {
  const found = [];
  for (const { name, problem, since } of sources) {
    if (!problem) continue;
    const same = found.find((each) => each.problem === problem && each.since === since);
    if (same) same.names.push(name);
    else found.push({ names: [name], problem, since });
  }
  return found;
}

/** A message of iotpipe as a sentence. A name of an environment or of a command at its beginning stays as it is. */
export function sentence(text) {
  const begun = text.replace(
    /^(the|a|an|no|there|cannot|queues|counts|alarms|devices|metrics)\b/,
    (word) => word.charAt(0).toUpperCase() + word.slice(1),
  );
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

function notice({ text, hint }) {
  return el("div", { class: "notice" }, el("p", {}, text), hintOf(hint));
}

/** A hint of iotpipe, with the commands in it to copy. */
export function hintOf(hint) {
  if (!hint) return null;
  const commands = hint.match(/(?<=`)iotpipe [^`]+(?=`)/g) ?? [];
  return el(
    "div",
    { class: "hint" },
    el("p", {}, sentence(hint.replaceAll("`", ""))),
    commands.map((line) => command(...line.split(" "))),
  );
}
