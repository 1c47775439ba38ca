// The head of the page: environment, views, and whether the page is live.
import { el, setAttribute, setText } from "./dom.js";

const VIEWS = [
  ["#/", "Pipeline"],
  ["#/devices", "Devices"],
  ["#/dead-letters", "Dead letters"],
];
const environment = document.getElementById("environment");
const connection = document.getElementById("connection");
const badge = el("i", { hidden: true });
const links = VIEWS.map(([address, name]) =>
  el("a", { href: address }, name, address === "#/dead-letters" ? [" ", badge] : null),
);
document.getElementById("views").append(...links);

/** Mark the link to the view of the address. */
export function showViews() {
  for (const link of links) {
    const address = link.getAttribute("href");
    const here = address === "#/" ? /^(#\/)?$/.test(location.hash) : location.hash.startsWith(address);
    setAttribute(link, "aria-current", here ? "page" : null);
  }
}

/** Show where the page looks and whether it is live; `title` is that of the view. */
export function showFrame(live, title) {
  const { environment: where, snapshot } = live;
  document.title = [title, where?.name, "iotpipe"].filter(Boolean).join(" · ");
  setAttribute(environment, "hidden", !where);
  if (where) {
    const place = where.local ? "this machine" : `${where.account} · ${where.region}`;
    if (environment.textContent !== `${where.name}${place}`)
      environment.replaceChildren(where.name, el("small", {}, place));
  }
  const dead = Number(snapshot?.nodes.find((node) => node.kind === "dead-letters")?.value?.replaceAll(",", "") ?? 0);
  setText(badge, dead ? dead.toLocaleString("en") : "");
  setAttribute(badge, "hidden", !dead);
  showConnection(live);
}

function showConnection(live) {
  const seconds = live.every / 1000;
  const text = live.connection
    ? "Not connected"
    : live.missing
      ? "Waiting"
      : live.snapshot
        ? `Live, every ${seconds} s`
        : "Connecting";
  setText(connection, text);
  setAttribute(connection, "data-state", live.connection || live.missing ? "off" : "on");
}
