// Reads JSON without changing a digit: JavaScript would make 21.5 of 21.50, and round long numbers.

const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** A number as it was written. */
class Digits {
  constructor(text) {
    this.text = text;
  }
}

/** Parse JSON text; its numbers become Digits. */
export function parseExactly(text) {
  const marked = text.replace(STRING_OR_NUMBER, (found) => (found.startsWith('"') ? found : `{"digits":"${found}"}`));
  return JSON.parse(marked, (_, value) => (isMark(value) ? new Digits(value.digits) : value));
}

function isMark(value) {
  return (
    value !== null &&
    typeof value === "object" &&
    Object.keys(value).join() === "digits" &&
    typeof value.digits === "string"
  );
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
