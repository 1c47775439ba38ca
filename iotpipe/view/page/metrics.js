// The names, order and colours of metrics.

const MAIN = ["temperature", "humidity", "pressure"];
const COLOURS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6"];

/** The metrics with the main ones first, the others by name. */
export function inOrder(names) {
  const known = MAIN.filter((name) => names.includes(name));
  return [...known, ...names.filter((name) => !MAIN.includes(name)).sort()];
}

/** The colour of a metric among ordered metrics: the main ones always have the same. */
export function colourOf(name, ordered) {
  const main = MAIN.indexOf(name);
  if (main >= 0) return COLOURS[main];
  const others = ordered.filter((each) => !MAIN.includes(each));
  return COLOURS[(MAIN.length + others.indexOf(name)) % COLOURS.length];
}

/** The colour of a device that is compared with others. */
export function colourOfDevice(index) {
  return COLOURS[index % COLOURS.length];
}

/** A name of the pipeline's or of a device as people read it. */
export function spaced(name) {
  return name.replaceAll("_", " ");
}

/** Whether a latest value is a number: other values come as JSON. */
export function isNumber(text) {
  return /^-?\d/.test(text);
}
