// Keys that lead to the views.

const VIEWS = { p: "#/", d: "#/devices", x: "#/dead-letters" };

/** Listen to keys, except where text is typed, and to the link that skips the head of the page. */
export function onKeys() {
  // Its address would be another view.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input, textarea, select")) return;
    if (VIEWS[event.key]) location.hash = VIEWS[event.key];
    if (event.key === "/") {
      event.preventDefault();
      focusFilter();
    }
  });
}

function focusFilter() {
  const filter = () => document.querySelector("input.filter");
  if (filter()) return filter().focus();
  addEventListener("hashchange", () => setTimeout(() => filter()?.focus()), { once: true });
  location.hash = "#/devices";
}
