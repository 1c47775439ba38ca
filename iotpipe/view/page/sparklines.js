// Small curves of a day for the devices in view. They are asked for once, several devices at a time, and kept.
import { get } from "./api.js";
import { joinedWithin } from "./buckets.js";
import { svg } from "./dom.js";
import { now } from "./format.js";

const DAY = 86_400_000,
  LENGTH = 1_800_000,
  EVERY = "30m";
const AT_ONCE = 8,
  FRESH = 300_000;
const WIDTH = 100,
  HEIGHT = 22;

/** Loads curves and draws them. */
export class Sparklines {
  #curves = new Map();
  #wanted = new Map();
  #loading = false;
  #observer = new IntersectionObserver((entries) => this.#onView(entries), { rootMargin: "80px" });
  #inView = new Map();

  /** Draw the curves of a device into `draw(curve)` functions by metric, once its row is in view. */
  watch(row, device, cells) {
    this.#inView.set(row, { device, cells });
    this.#observer.observe(row);
  }

  unwatch(row) {
    this.#observer.unobserve(row);
    this.#inView.delete(row);
  }

  close() {
    this.#observer.disconnect();
    this.#wanted.clear();
  }

  #onView(entries) {
    for (const entry of entries) {
      const shown = this.#inView.get(entry.target);
      if (entry.isIntersecting && shown) this.#want(shown.device, shown.cells);
      else if (shown) this.#wanted.delete(shown.device);
    }
    this.#load();
  }

  #want(device, cells) {
    const known = this.#curves.get(device);
    if (known) draw(cells, known.series);
    if (!known || now() - known.at > FRESH) this.#wanted.set(device, cells);
  }

  async #load() {
    if (this.#loading) return;
    this.#loading = true;
    while (this.#wanted.size) {
      const batch = [...this.#wanted].slice(0, AT_ONCE);
      batch.forEach(([device]) => this.#wanted.delete(device));
      await this.#ask(new Map(batch)).catch(() => this.#wanted.clear());
    }
    this.#loading = false;
  }

  async #ask(batch) {
    const metrics = [...new Set([...batch.values()].flatMap((cells) => [...cells.keys()]))];
    if (!metrics.length) return;
    const to = now();
    const parameters = {
      device: [...batch.keys()],
      metric: metrics,
      every: EVERY,
      from: Math.floor(to - DAY),
      to: Math.ceil(to),
    };
    const { series } = await get("series", parameters);
    for (const [device, cells] of batch) {
      const own = series.filter((each) => each.device_id === device);
      this.#curves.set(device, { at: to, series: own });
      draw(cells, own);
    }
  }
}

function draw(cells, series) {
  for (const [metric, cell] of cells) {
    const found = series.find((each) => each.metric === metric);
    if (found?.start.length > 1) cell.replaceChildren(curve(found));
  }
}

/** A day of means as a line that is interrupted where nothing came. */
function curve({ start, mean }) {
  const [low, high] = [Math.min(...mean), Math.max(...mean)];
  const end = now();
  const x = (time) => (WIDTH * (1 - (end - time) / DAY)).toFixed(1);
  const y = (value) => (2 + (HEIGHT - 4) * (1 - (value - low) / (high - low || 1))).toFixed(1);
  const within = joinedWithin(start, LENGTH);
  const joined = (i) => i > 0 && start[i] - start[i - 1] <= within;
  const d = start.map((time, i) => `${joined(i) ? "L" : "M"}${x(time)} ${y(mean[i])}`).join("");
  const path = svg("path", { d, "vector-effect": "non-scaling-stroke" });
  return svg(
    "svg",
    { class: "sparkline", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    path,
  );
}
