// Light or dark: as the system has it, until the user chooses.

const STORED = "iotpipe-theme";
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

/** Apply the theme, and call `changed` whenever it changes: canvases do not follow style sheets. */
export function onTheme(changed) {
  const apply = () => {
    root.dataset.theme = localStorage.getItem(STORED) ?? (system.matches ? "dark" : "light");
    changed();
  };
  document.getElementById("theme").addEventListener("click", () => {
    localStorage.setItem(STORED, root.dataset.theme === "dark" ? "light" : "dark");
    apply();
  });
  system.addEventListener("change", apply);
  root.dataset.theme = localStorage.getItem(STORED) ?? (system.matches ? "dark" : "light");
}
