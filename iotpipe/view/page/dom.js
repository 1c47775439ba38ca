// Makes and changes elements. Text is only ever set as text: nothing in this page parses HTML.

// Control characters, and those that turn the direction of the text after them.
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;
const SVG = "http://www.w3.org/2000/svg";

/** A new HTML element. `props` are attributes; a function is a listener; null and false are left out. */
export function el(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** A new SVG element. */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props)) setProperty(node, name, value);
  const shown = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  node.append(...shown.map((child) => (typeof child === "string" ? visible(child) : child)));
  return node;
}

/** Text that a device chose, with its control characters as JSON writes them. */
export function visible(text) {
  return text.replace(CONTROLS, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function setProperty(node, name, value) {
  if (typeof value === "function") node.addEventListener(name, value);
  // The policy of the page forbids style attributes; properties set by scripts are allowed.
  else if (name.startsWith("--")) node.style.setProperty(name, value);
  else if (value !== null && value !== undefined && value !== false)
    node.setAttribute(name, value === true ? "" : value);
}

/** Set the text of an element, unless it has it already: a selection in it survives then. */
export function setText(node, text) {
  const shown = visible(String(text));
  if (node.textContent !== shown) node.textContent = shown;
}

/** Set or remove an attribute. */
export function setAttribute(node, name, value) {
  if (value === null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** The value of a colour of the style sheet in the current theme. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Let screen readers say a text. */
export function announce(text) {
  document.getElementById("announcements").textContent = text;
}
