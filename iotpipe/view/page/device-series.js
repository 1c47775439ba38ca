// Keeps the buckets of the devices that are shown, and asks only for what is new.
import { get } from "./api.js";
import { Buckets, bucketLength, MOST_OF_ALL } from "./buckets.js";
import { now } from "./format.js";

const USUAL_COUNT = 12;
/** How often a bucket is asked for before it is complete: rows that are read cost money on AWS. */
const TIMES_PER_BUCKET = 10;

/** The buckets of some devices over a period that ends now, or over a fixed one while the charts are zoomed. */
export class DeviceSeries {
  /** By device and metric. */
  buckets = new Map();
  length = 60_000;
  every = "1m";
  #devices;
  #span;
  #count;
  #zoom = null;
  #known = 0;
  #asking = null;

  /** `count` is the number of series that the devices have, as far as it is known. */
  constructor(devices, span, count) {
    [this.#devices, this.#span, this.#count] = [devices, span, Math.max(USUAL_COUNT, count)];
  }

  /** The period [from, to] that is shown. */
  get window() {
    return this.#zoom ?? [now() - this.#span, now()];
  }

  get zoomed() {
    return this.#zoom !== null;
  }

  /** Show the last `span` milliseconds. */
  setSpan(span) {
    this.cancel();
    [this.#span, this.#zoom, this.#known] = [span, null, 0];
  }

  /** Show a fixed period; null goes back to the one that ends now. */
  setZoom(period) {
    this.cancel();
    [this.#zoom, this.#known] = [period, 0];
  }

  /** Whether nothing of the period is known yet. */
  get loading() {
    return this.#known === 0;
  }

  /** Give up what is being asked for: raises Cancelled in `refresh`. */
  cancel() {
    this.#asking?.abort();
  }

  /** Ask for what is not known yet. Returns whether there is anything new. May raise the errors of the API. */
  async refresh() {
    const [from, to] = this.window;
    const [length, every] = bucketLength(to - from, this.#count);
    if (this.#known && (this.#zoom || to - this.#known < length / TIMES_PER_BUCKET)) return false;
    this.#asking = new AbortController();
    // The newest known bucket may have grown.
    const start = this.#known ? Math.max(from, this.#known - length) : from;
    const first = Math.floor(start / length) * length;
    const { series } = await get(
      "series",
      { device: this.#devices, every, from: first, to: Math.ceil(to) },
      this.#asking.signal,
    );
    if (this.#ended(series)) return this.refresh();
    if (!this.#known) this.buckets = new Map();
    [this.length, this.every, this.#known] = [length, every, to];
    for (const each of series) this.#of(each.device_id, each.metric).merge(each, first, from - length);
    return true;
  }

  /** Whether the answer ended early, because there are more series than was known: longer buckets are needed. */
  #ended(series) {
    const buckets = series.reduce((sum, each) => sum + each.start.length, 0);
    const ended = buckets > MOST_OF_ALL && this.#count < MOST_OF_ALL;
    if (ended) [this.#count, this.#known] = [2 * Math.max(this.#count, series.length), 0];
    return ended;
  }

  #of(device, metric) {
    const key = JSON.stringify([device, metric]);
    if (!this.buckets.has(key)) this.buckets.set(key, new Buckets());
    return this.buckets.get(key);
  }

  /** The buckets of a device's metric; empty ones if nothing came. */
  of(device, metric) {
    return this.buckets.get(JSON.stringify([device, metric])) ?? new Buckets();
  }

  /** The metrics that have a bucket. */
  metrics() {
    return [
      ...new Set([...this.buckets].filter(([, buckets]) => buckets.start.length).map(([key]) => JSON.parse(key)[1])),
    ];
  }
}
