// One icon for each kind of box.
import { svg } from "./dom.js";

const PATHS = {
  devices: "M5 1.5h6a1 1 0 0 1 1 1v11a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1v-11a1 1 0 0 1 1-1zM7 12h2",
  api: "M5 3 1.500 8 5 13M11 3l3.500 5L11 13M9.500 2.500 6.500 13.500",
  rule: "M2 3.500h5.500c3 0 1.500 9 4.500 9h2M2 12.500h3c2 0 2.500-3 3-4.500M12 10l2.500 2.500L12 15",
  function: "M3 13.500 7 5.500 5.800 2.500H4M7 5.500l4 8h2",
  table: "M2 4c0-3 12-3 12 0v8c0 3-12 3-12 0zM2 4c0 3 12 3 12 0M2 8c0 3 12 3 12 0",
  queue: "M1.500 4.500H5v7H1.500zM6.300 4.500h3.500v7H6.300zM11 4.500h3.500v7H11z",
  "dead-letters": "M2 5.500h12V14H2zM4 5.500V3h8v2.500M6 8.500l4 3M10 8.500l-4 3",
  topic: "M2 6.500v3h2l6 4v-11l-6 4zM12.500 5.500c1.300 1.400 1.300 3.600 0 5",
  alarms:
    "M8 2C5.500 2 4 4 4 6.500 4 10 2.500 11 2.500 12h11C13.500 11 12 10 12 6.500 12 4 10.500 2 8 2zM6.800 14.300h2.400",
  addresses: "M2 3.500h12v9H2zM2 4l6 5 6-5",
};

/** The icon of a kind of box. */
export function icon(kind) {
  const path = svg("path", { d: PATHS[kind] ?? PATHS.function });
  return svg("svg", { class: "kind", width: 16, height: 16, viewBox: "0 0 16 16", "aria-hidden": "true" }, path);
}
