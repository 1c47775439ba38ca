// The picture of the data flow: boxes with live numbers, arrows between them, and the same as a list for phones.
import { el, setAttribute, setText, svg } from "./dom.js";
import { icon } from "./icons.js";
import { labelPlaces } from "./labels.js";
import { ways } from "./ways.js";

const ROUND = 9;
/** Between two arrows that begin or end at one edge of a box, along level and upright edges. */
const BESIDE = [30, 28];
/** Between a box and the line of the arrows that join before it. */
const NEAR = 14;
/** The dots on active arrows move by a fifth of their distance, five times a second: a style sheet's animation would
 *  paint sixty times a second. */
const STEP = 2.6,
  STEPS = 5,
  STEP_MILLISECONDS = 200;

/** The picture as a card. The flow's rows are the columns here: it goes from left to right. */
export class Picture {
  #lines = svg("svg", { class: "arrows", "aria-hidden": "true" });
  #boxes = el("div", { class: "boxes" });
  #list = el("ol", { class: "list-of-boxes" });
  #sources = el("p", { class: "sources" });
  #shown = "";
  #faces = new Map();
  #edges = [];
  #places = [];
  #observer = new ResizeObserver(() => this.#draw());
  #steps = 0;
  #motion = matchMedia("(prefers-reduced-motion: reduce)").matches
    ? 0
    : setInterval(() => this.#move(), STEP_MILLISECONDS);

  constructor() {
    const stage = el("div", { class: "stage" }, this.#lines, this.#boxes);
    this.root = el("section", { class: "card picture", "aria-label": "Data flow" }, stage, this.#list, this.#sources);
    this.#observer.observe(this.#boxes);
  }

  /** Show the nodes and edges of a snapshot. The picture is laid out anew only if other boxes are there. */
  update(snapshot, sources) {
    const shape = JSON.stringify([
      snapshot.nodes.map((node) => [node.id, node.to]),
      snapshot.edges.map((edge) => [edge.start, edge.end]),
    ]);
    if (shape !== this.#shown) this.#build(snapshot, shape);
    const ending = commonEnding(snapshot.nodes);
    for (const node of snapshot.nodes) this.#faces.get(node.id).forEach((face) => face.update(node, ending));
    snapshot.edges.forEach((edge, i) => this.#edges[i].update(edge));
    // Of the lines that join, the active ones pass over the others.
    this.#edges.filter((_, i) => snapshot.edges[i].active).forEach((edge) => edge.raise());
    this.#sources.replaceChildren(...sources);
  }

  close() {
    this.#observer.disconnect();
    clearInterval(this.#motion);
  }

  #move() {
    this.#steps = (this.#steps + 1) % STEPS;
    this.#lines.style.strokeDashoffset = -STEP * this.#steps;
  }

  #build(snapshot, shape) {
    this.#shown = shape;
    const { nodes, edges } = snapshot;
    const boxes = nodes.map((node) => [node.row, node.column]);
    const place = new Map(nodes.map((node, i) => [node.id, boxes[i]]));
    const drawn = nodes.map((node) => new Box(node));
    const listed = inOrder(nodes, edges).map(([node, look]) => new Entry(node, look));
    this.#faces = new Map(nodes.map((node, i) => [node.id, [drawn[i], listed.find((entry) => entry.id === node.id)]]));
    const joins = (edge) => edge.kind === "fails";
    const found = ways(
      edges.map((edge) => [place.get(edge.start), place.get(edge.end), joins(edge)]),
      boxes,
    );
    this.#places = boxes;
    this.#edges = edges.map((edge, i) => new Arrow(found[i]));
    const columns = 1 + Math.max(...boxes.map((box) => box[0]));
    this.#boxes.style.setProperty("--columns", columns);
    this.#boxes.classList.toggle("many", columns > 5);
    this.#boxes.replaceChildren(...drawn.map((box) => box.root));
    this.#list.replaceChildren(...listed.map((entry) => entry.root));
    // A later line passes over the earlier ones: those that turn pass over the straight ones.
    const over = [...this.#edges].sort((a, b) => a.way.corners.length - b.way.corners.length);
    const [joined, alone] = [over.filter((edge) => edge.way.entrance), over.filter((edge) => !edge.way.entrance)];
    this.#lines.replaceChildren(
      ...alone.flatMap((edge) => [edge.halo, edge.root]),
      // None of the lines that join is cut where another one joins it.
      ...joined.map((edge) => edge.halo),
      svg("g", {}, ...joined.map((edge) => edge.root)),
      ...this.#edges.map((edge) => edge.label),
    );
    this.#draw();
  }

  /** Draw the arrows for the current size of the boxes. */
  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#boxes;
    if (!width || !this.#edges.length) return;
    setAttribute(this.#lines, "viewBox", `0 0 ${width} ${height}`);
    const style = getComputedStyle(this.#boxes);
    const columns = axis(style.gridTemplateColumns, style.columnGap, style.paddingLeft);
    const rows = axis(style.gridTemplateRows, style.rowGap, style.paddingTop);
    for (const edge of this.#edges) edge.draw(columns, rows);
    const boxes = this.#places.map((place) => boxAt(place, columns, rows));
    const lines = this.#edges.map((edge) => edge.line);
    const labels = this.#edges.map((edge) => ({ text: edge.label.textContent, line: edge.own }));
    labelPlaces(labels, boxes, lines, [width, height]).forEach((at, i) => this.#edges[i].placeLabel(at));
  }
}

/** The tracks of a grid in pixels: the middle of each lattice line, and half the size of a box. */
function axis(tracks, gap, padding) {
  const size = parseFloat(tracks),
    between = parseFloat(gap),
    edge = parseFloat(padding);
  const middle = (line) => (line === 0 ? edge / 2 : edge + ((line - 1) / 2) * (size + between) + size / 2);
  return { middle, half: size / 2, last: tracks.split(" ").length * 2, edge };
}

function boxAt(place, columns, rows) {
  const [x, y] = [columns.middle(2 * place[0] + 1), rows.middle(2 * place[1] + 1)];
  return [x - columns.half, y - rows.half, x + columns.half, y + rows.half];
}

/** What a box shows, both in the picture and in the list. */
class Face {
  constructor(node, tag) {
    this.id = node.id;
    this.name = el("b");
    this.value = el("span", { class: "value" });
    this.unit = el("span", { class: "unit" });
    this.note = el("span", { class: "note" });
    this.box = el(node.to ? "a" : tag, { class: "box", href: node.to ? `#/${node.to}` : null });
  }

  update(node, ending) {
    setText(this.name, ending && node.name.endsWith(ending) ? node.name.slice(0, -ending.length) : node.name);
    setText(this.value, node.value ?? "–");
    setText(this.unit, node.unit);
    setText(this.note, node.note);
    setAttribute(this.box, "title", node.name);
    setAttribute(this.note, "title", node.note || null);
    setAttribute(this.box, "data-tone", node.tone || null);
    setAttribute(this.value, "hidden", node.value === null && !node.unit);
  }
}

class Box extends Face {
  constructor(node) {
    super(node, "div");
    this.box.append(
      icon(node.kind),
      this.name,
      el("span", { class: "figures" }, this.value, " ", this.unit),
      this.note,
    );
    this.root = this.box;
    this.root.style.gridColumn = node.row + 1;
    this.root.style.gridRow = node.column + 1;
  }
}

class Entry extends Face {
  /** `look` are the classes of the entry, which say how the line of the main way passes it. */
  constructor(node, look) {
    super(node, "div");
    const names = el("span", { class: "names" }, this.name, this.note);
    this.box.append(icon(node.kind), names, el("span", { class: "figures" }, this.value, " ", this.unit));
    this.root = el("li", { class: look }, this.box);
  }
}

/** What the names of all resources end with, such as "-dev": the head of the page tells the environment already. */
function commonEnding(nodes) {
  const names = nodes.filter((node) => node.id.endsWith(`/${node.name}`)).map((node) => node.name);
  if (names.length < 2) return "";
  let length = 0;
  while (length < names[0].length && names.every((name) => name.at(-length - 1) === names[0].at(-length - 1)))
    length += 1;
  const ending = names[0].slice(names[0].length - length);
  return ending.includes("-") ? ending.slice(ending.indexOf("-")) : "";
}

/** The boxes as a list: the longest way of the data from its start, and after each box those beside that way; the
 *  rest at the end. Each comes with its classes. */
function inOrder(nodes, edges) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const next = (id) => edges.filter((edge) => edge.start === id && edge.kind === "moves").map((edge) => edge.end);
  const longest = (id, seen) => {
    const further = next(id)
      .filter((each) => !seen.includes(each))
      .map((each) => longest(each, [...seen, each]));
    return [id, ...further.reduce((a, b) => (b.length > a.length ? b : a), [])];
  };
  const main = longest(nodes[0].id, [nodes[0].id]);
  const listed = new Map();
  for (const id of main) {
    listed.set(id, id === main[0] ? "first" : id === main.at(-1) ? "last" : "");
    for (const edge of edges) {
      const beside = edge.start === id && edge.kind !== "reads" && !main.includes(edge.end);
      if (beside && !listed.has(edge.end)) listed.set(edge.end, id === main.at(-1) ? "inner beyond" : "inner");
    }
  }
  for (const node of nodes) if (!listed.has(node.id)) listed.set(node.id, "inner beyond");
  return [...listed].map(([id, look]) => [byId.get(id), look]);
}

/** An arrow along a way of lattice points. */
class Arrow {
  constructor(way) {
    this.way = way;
    this.path = svg("path", { class: "line" });
    this.dots = svg("path", { class: "dots" });
    this.halo = svg("path", { class: "halo" });
    this.tip = svg("path", { class: "tip", d: "M0 0l-8-4.5v9z" });
    this.root = svg("g", {}, this.path, this.dots, this.tip);
    this.label = svg("text", { class: "label" });
  }

  update(edge) {
    const state = `${edge.kind} ${edge.active ? "active" : ""}`.trim();
    setAttribute(this.root, "class", `arrow ${state}`);
    setAttribute(this.label, "class", `label ${edge.kind}`);
    setText(this.label, edge.label);
  }

  /** The corners of all of its line, and of what is its own until it joins another one, are kept for the labels. */
  draw(columns, rows) {
    this.line = this.#pixels(this.way.corners, columns, rows);
    this.own = this.#pixels(this.way.own, columns, rows);
    const path = rounded(this.line);
    for (const each of [this.halo, this.path, this.dots]) each.setAttribute("d", path);
    const [before, end] = this.line.slice(-2);
    const turn = (Math.atan2(end[1] - before[1], end[0] - before[0]) * 180) / Math.PI;
    this.tip.setAttribute("transform", `translate(${end[0]} ${end[1]}) rotate(${turn})`);
  }

  raise() {
    if (this.way.entrance) this.root.parentNode.append(this.root);
  }

  placeLabel({ x, y, anchor }) {
    this.label.setAttribute("x", x);
    this.label.setAttribute("y", y);
    this.label.setAttribute("text-anchor", anchor);
  }

  /** The pixels of a way. It begins and ends at the edges of its boxes, unless it joins another way before. */
  #pixels(way, columns, rows) {
    const middle = ([x, y]) => [columns.middle(x), rows.middle(y)];
    const edge = (box, other) => [
      box[0] + Math.sign(other[0] - box[0]) * columns.half,
      box[1] + Math.sign(other[1] - box[1]) * rows.half,
    ];
    const points = way.map((point) => this.#near(middle(point), point, middle, edge));
    const last = points.length - 1;
    const isBox = way[last].every((each) => each % 2);
    const shown = points.map((point, i) =>
      i === 0 ? edge(point, points[1]) : i === last && isBox ? edge(point, points[last - 1]) : point,
    );
    const [first, end] = this.way.shift;
    shift(shown, 0, 1, first);
    if (last > 1 && isBox) shift(shown, last, last - 1, end);
    return shown;
  }

  /** An arrow that joins others runs near the entrance of their box. */
  #near(pixel, point, middle, edge) {
    if (!this.way.entrance) return pixel;
    const [box, beside] = this.way.entrance;
    const entrance = edge(middle(box), middle(beside));
    const axis = beside[0] === box[0] ? 1 : 0;
    if (point[axis] !== beside[axis]) return pixel;
    return pixel.map((value, i) => (i === axis ? entrance[axis] + NEAR * (beside[axis] - box[axis]) : value));
  }
}

/** Shift a part of a line to its side. */
function shift(points, start, end, by) {
  const axis = points[start][1] === points[end][1] ? 1 : 0;
  for (const at of [start, end]) {
    points[at] = points[at].map((value, i) => (i === axis ? value + by * BESIDE[axis] : value));
  }
}

/** A path through points, with rounded corners. */
function rounded(line) {
  let path = `M${line[0][0]} ${line[0][1]}`;
  for (let i = 1; i < line.length - 1; i++) {
    const [before, here, after] = line.slice(i - 1, i + 2);
    const near = (from, sign) => here.map((value, axis) => value + sign * ROUND * Math.sign(from[axis] - value));
    path += `L${near(before, 1).join(" ")}Q${here.join(" ")} ${near(after, 1).join(" ")}`;
  }
  return `${path}L${line.at(-1).join(" ")}`;
}
