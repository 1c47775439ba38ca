// Finds the way of each arrow between the boxes of the picture: around boxes, with few turns and crossings.
//
// The ways run on a lattice: the box of column 0 and row 1 stands at (1, 3), even numbers are the lanes between boxes.

const DIRECTIONS = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
];
const STEP = 2,
  TURN = 3,
  CROSSING = 5,
  SHARED = 40,
  // A step on a way that leads to the same box: arrows that join shall do so early.
  JOINED = 1,
  // Beginning or ending at the same edge of a box as another way. They are drawn beside each other there.
  PORT = 6;

/** For each arrow [start, end, joins] between boxes [column, row] its way: the lattice points where it begins, turns
 *  and ends; those until it joins another one as `own`; and how far beside the middle of its boxes' edges it begins and
 *  ends as `shift`. Arrows that `join` may run into one another if they lead to the same box. */
export function ways(arrows, boxes) {
  const lattice = new Lattice(boxes);
  const found = [];
  // The short ones first: what joins neighbours is straight then.
  const order = arrows.map((_, index) => index).sort((a, b) => distance(arrows[a]) - distance(arrows[b]));
  for (const index of order) {
    const [start, end, joins] = arrows[index];
    found[index] = lattice.connect(atBox(start), atBox(end), Boolean(joins));
  }
  const shifted = shifts(found, arrows);
  return found.map((way, i) => ({
    corners: corners(way),
    own: corners(arrows[i][2] ? ownPart(i, found) : way),
    shift: shifted[i],
    entrance: arrows[i][2] ? [way.at(-1), way.at(-2)] : null,
  }));
}

/** Where several ways begin or end at one edge of a box they stand beside each other: who turns left or up stands to
 *  the left or above. The unit is the distance between two of them. */
function shifts(found, arrows) {
  const edges = new Map();
  const keyOf = (i, end) => (end && arrows[i][2] ? "joined" : i);
  const edgeOf = (way, end) => (end ? [way.at(-1), way.at(-2)] : way.slice(0, 2)).map(named).join(" ");
  found.forEach((way, i) => {
    for (const end of [false, true]) {
      const edge = edgeOf(way, end);
      if (!edges.has(edge)) edges.set(edge, new Map());
      const bends = edges.get(edge);
      if (!bends.has(keyOf(i, end))) bends.set(keyOf(i, end), bend(end ? [...way].reverse() : way));
    }
  });
  const place = (i, end) => {
    const ranked = [...edges.get(edgeOf(found[i], end))].sort((a, b) => a[1] - b[1]).map(([key]) => key);
    return ranked.indexOf(keyOf(i, end)) - (ranked.length - 1) / 2;
  };
  return found.map((way, i) => {
    const [first, last] = [place(i, false), place(i, true)];
    return corners(way).length === 2 ? [first || last, first || last] : [first, last];
  });
}

/** Where a way goes at its first turn: -1 left or up, 1 right or down, 0 if it is straight. */
function bend(way) {
  const turning = corners(way);
  if (turning.length === 2) return 0;
  const [a, b] = turning.slice(1, 3);
  return Math.sign(b[0] + b[1] - a[0] - a[1]);
}

/** A way up to where it joins another one. */
function ownPart(index, found) {
  const others = new Set(found.flatMap((way, i) => (i === index ? [] : steps(way))));
  const at = steps(found[index]).findIndex((step, i) => i > 0 && others.has(step));
  return at < 0 ? found[index] : found[index].slice(0, at + 1);
}

const atBox = ([column, row]) => [2 * column + 1, 2 * row + 1];
const distance = ([start, end]) => Math.abs(start[0] - end[0]) + Math.abs(start[1] - end[1]);
const turns = (before, here, after) => before[0] !== after[0] && before[1] !== after[1];
const corners = (way) =>
  way.filter((here, i) => i === 0 || i === way.length - 1 || turns(way[i - 1], here, way[i + 1]));
const named = (point) => point.join();
const between = (a, b) => [named(a), named(b)].sort().join(" ");
const steps = (way) => way.slice(1).map((point, i) => between(way[i], point));

class Lattice {
  constructor(boxes) {
    const places = boxes.map(atBox);
    this.blocked = new Set(places.map(named));
    this.right = Math.max(...places.map((place) => place[0])) + 1;
    this.bottom = Math.max(...places.map((place) => place[1])) + 1;
    /** Where ways run, with the boxes to which these lead and may be joined; null for those that may not. */
    this.segments = new Map();
    this.passed = new Map();
  }

  connect(start, end, joins) {
    const goal = joins ? named(end) : null;
    const way = this.cheapest(start, end, goal);
    for (const step of steps(way)) note(this.segments, step, goal);
    for (const point of way.slice(1, -1)) note(this.passed, named(point), goal);
    return way;
  }

  /** Dijkstra's search; a state is a point and the point before it, since turns cost. */
  cheapest(start, end, goal) {
    const waiting = [{ cost: 0, way: [start] }];
    const done = new Set();
    while (waiting.length) {
      const best = waiting.reduce((a, b) => (b.cost < a.cost ? b : a));
      waiting.splice(waiting.indexOf(best), 1);
      const here = best.way.at(-1);
      if (named(here) === named(end)) return best.way;
      const state = best.way.slice(-2).map(named).join(" ");
      if (done.has(state)) continue;
      done.add(state);
      for (const after of this.neighbours(here, end)) {
        if (best.way.some((point) => named(point) === named(after))) continue;
        waiting.push({ cost: best.cost + this.price(best.way, after, end, goal), way: [...best.way, after] });
      }
    }
    return [start, end];
  }

  neighbours(here, end) {
    return DIRECTIONS.map(([x, y]) => [here[0] + x, here[1] + y]).filter(([x, y]) => {
      const inside = x >= 0 && y >= 0 && x <= this.right && y <= this.bottom;
      return inside && (named([x, y]) === named(end) || !this.blocked.has(named([x, y])));
    });
  }

  price(way, after, end, goal) {
    const here = way.at(-1);
    const turned = way.length > 1 && turns(way.at(-2), here, after);
    const on = this.segments.get(between(here, after)),
      over = this.passed.get(named(here));
    let price = turned ? TURN : 0;
    if (on && leadOnlyTo(goal, on)) return price + JOINED;
    const isEnd = named(after) === named(end);
    price += STEP;
    if (on) price += way.length === 1 || isEnd ? PORT : SHARED;
    if (over && !leadOnlyTo(goal, over)) {
      // To turn where another way passes would look like a branch of it, unless it stands beside that way.
      const beside = (way.length === 2 && this.segments.has(between(...way))) || (isEnd && on);
      price += turned && !beside ? SHARED : CROSSING;
    }
    return price;
  }
}

function note(places, key, goal) {
  if (!places.has(key)) places.set(key, new Set());
  places.get(key).add(goal);
}

const leadOnlyTo = (goal, goals) => goal !== null && goals.size === 1 && goals.has(goal);
