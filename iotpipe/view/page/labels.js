// Finds a place for the label of each arrow of the picture: near its line, and clear of everything else.
const CHARACTER = 5,
  CAPITAL = 7,
  ROOM = 2,
  ASCENT = 9,
  DESCENT = 3;
/** How bad it is that a box or another label covers a label, and that a line crosses it. */
const HIDDEN = 100,
  CROSSED = 10;

/** The place {x, y, anchor} of each label {text, line}: the first good one of those that its line offers. Boxes are
 *  [left, top, right, low], lines are the corners of all arrows. */
export function labelPlaces(labels, boxes, lines, [width, height]) {
  const taken = [...boxes];
  const parts = lines.flatMap((line) => line.slice(1).map((point, i) => rectangle(line[i], point)));
  const found = [];
  // Short lines offer the fewest places.
  const order = labels.map((_, i) => i).sort((a, b) => labels[a].line.length - labels[b].line.length);
  for (const index of order) {
    const { text, line } = labels[index];
    const badness = (place) => {
      const around = rectangleOf(place, text);
      const outside = around[0] < 0 || around[1] < 0 || around[2] > width || around[3] > height;
      const count = (others) => others.filter((other) => overlap(around, other)).length;
      return HIDDEN * (count(taken) + outside) + CROSSED * count(parts);
    };
    const offered = offers(line).map((place) => [badness(place), place]);
    found[index] = offered.reduce((a, b) => (b[0] < a[0] ? b : a))[1];
    taken.push(rectangleOf(found[index], text));
  }
  return found;
}

/** Above the middle of a short level line or the beginning of the longest level part, or beside an upright line; then
 *  anywhere else along the line, from its beginning on. */
function offers(line) {
  const pairs = line.slice(1).map((point, i) => [line[i], point]);
  const length = ([a, b]) => Math.abs(a[0] - b[0]);
  const level = pairs.filter(([a, b]) => a[1] === b[1]).sort((a, b) => length(b) - length(a))[0];
  let usual;
  if (!level) usual = { x: line[0][0] + 9, y: (line[0][1] + line[1][1]) / 2 + 4, anchor: "start" };
  else if (line.length === 2) usual = { x: (level[0][0] + level[1][0]) / 2, y: level[0][1] - 8, anchor: "middle" };
  else usual = { x: Math.min(level[0][0], level[1][0]) + 16, y: level[0][1] - 7, anchor: "start" };
  return [usual, ...pairs.flatMap(([a, b]) => (a[1] === b[1] ? alongLevel(a, b) : alongUpright(a, b)))];
}

function alongLevel([x1, y], [x2]) {
  const [left, right] = [Math.min(x1, x2), Math.max(x1, x2)];
  return [y - 7, y + 15].flatMap((line) => [
    { x: (left + right) / 2, y: line, anchor: "middle" },
    { x: left + 16, y: line, anchor: "start" },
    { x: right - 16, y: line, anchor: "end" },
  ]);
}

function alongUpright([x, y1], [, y2]) {
  return [0.5, 0.25, 0.75].flatMap((part) => {
    const y = y1 + (y2 - y1) * part + 4;
    return [
      { x: x + 9, y, anchor: "start" },
      { x: x - 9, y, anchor: "end" },
    ];
  });
}

function rectangleOf({ x, y, anchor }, text) {
  const capitals = text.replace(/[^A-Z]/g, "").length;
  const width = CHARACTER * (text.length - capitals) + CAPITAL * capitals;
  const left = x - { start: 0, middle: width / 2, end: width }[anchor];
  return [left - ROOM, y - ASCENT, left + width + ROOM, y + DESCENT];
}

function rectangle(a, b) {
  return [Math.min(a[0], b[0]) - 1, Math.min(a[1], b[1]) - 1, Math.max(a[0], b[0]) + 1, Math.max(a[1], b[1]) + 1];
}

function overlap(a, b) {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}
