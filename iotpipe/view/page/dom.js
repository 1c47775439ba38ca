// Makes and changes elements. Text is only ever set as text: nothing in this page parses HTML.

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
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
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
  if (node.textContent !== text) node.textContent = text;
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
