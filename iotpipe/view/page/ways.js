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
  SHARED = 40;

/** For each arrow [start, end] between boxes [column, row] the lattice points where it begins, turns and ends. */
export function ways(arrows, boxes) {
  const lattice = new Lattice(boxes);
  const found = [];
  // The short ones first: what joins neighbours is straight then.
  const order = arrows.map((_, index) => index).sort((a, b) => distance(arrows[a]) - distance(arrows[b]));
  for (const index of order) found[index] = corners(lattice.connect(...arrows[index].map(atBox)));
  return found;
}

const atBox = ([column, row]) => [2 * column + 1, 2 * row + 1];
const distance = ([start, end]) => Math.abs(start[0] - end[0]) + Math.abs(start[1] - end[1]);
const turns = (before, here, after) => before[0] !== after[0] && before[1] !== after[1];
const corners = (way) =>
  way.filter((here, i) => i === 0 || i === way.length - 1 || turns(way[i - 1], here, way[i + 1]));
const named = (point) => point.join();
const between = (a, b) => [named(a), named(b)].sort().join(" ");

class Lattice {
  constructor(boxes) {
    const places = boxes.map(atBox);
    this.blocked = new Set(places.map(named));
    this.right = Math.max(...places.map((place) => place[0])) + 1;
    this.bottom = Math.max(...places.map((place) => place[1])) + 1;
    this.segments = new Set();
    this.passed = new Set();
  }

  connect(start, end) {
    const way = this.cheapest(start, end);
    way.slice(1).forEach((point, i) => this.segments.add(between(way[i], point)));
    way.slice(1, -1).forEach((point) => this.passed.add(named(point)));
    return way;
  }

  /** Dijkstra's search; a state is a point and the point before it, since turns cost. */
  cheapest(start, end) {
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
        waiting.push({ cost: best.cost + this.price(best.way, after), way: [...best.way, after] });
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

  price(way, after) {
    const here = way.at(-1);
    const turned = way.length > 1 && turns(way.at(-2), here, after);
    let price = STEP + (turned ? TURN : 0);
    if (this.segments.has(between(here, after))) price += SHARED;
    // To turn where another way passes would look like a branch of it.
    if (this.passed.has(named(here))) price += turned ? SHARED : CROSSING;
    return price;
  }
}
