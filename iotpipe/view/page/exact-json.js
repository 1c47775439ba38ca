// Reads JSON without changing a digit: JavaScript would make 21.5 of 21.50, and round long numbers.

const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

// What each begins with while it is parsed: every one is a string then.
const STRING = "s",
  NUMBER = "n";

/** A number as it was written. */
class Digits {
  constructor(text) {
    this.text = text;
  }
}

/** Parse JSON text; its numbers become Digits. Objects inherit nothing: devices choose the names of their members. */
export function parseExactly(text) {
  const marked = text.replace(STRING_OR_NUMBER, (found) =>
    found.startsWith('"') ? `"${STRING}${found.slice(1)}` : `"${NUMBER}${found}"`,
  );
  return JSON.parse(marked, (_, value) => unmarked(value));
}

function unmarked(value) {
  if (typeof value === "string") return value.startsWith(NUMBER) ? new Digits(value.slice(1)) : value.slice(1);
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  const found = Object.create(null);
  for (const [key, each] of Object.entries(value)) found[key.slice(1)] = each;
  return found;
}

/** A parsed value as text: digits and strings as they are, anything else as JSON. */
export function shown(value) {
  if (value === undefined || value === null) return "";
  if (value instanceof Digits) return value.text;
  return typeof value === "string" ? value : written(value);
}

function written(value) {
  if (value instanceof Digits) return value.text;
  if (Array.isArray(value)) return `[${value.map(written).join(", ")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, each]) => `${JSON.stringify(key)}: ${written(each)}`)
    .join(", ")}}`;
}
