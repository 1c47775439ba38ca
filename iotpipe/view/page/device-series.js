// Keeps the buckets of the devices that are shown, and asks only for what is new.
import { get } from "./api.js";
import { Buckets, bucketLength } from "./buckets.js";
import { now } from "./format.js";

const USUAL_METRICS = 12;

/** The buckets of some devices over a period that ends now, or over a fixed one while the charts are zoomed. */
export class DeviceSeries {
  /** By device and metric. */
  buckets = new Map();
  length = 60_000;
  every = "1m";
  #devices;
  #span;
  #zoom = null;
  #known = 0;
  #asking = null;

  constructor(devices, span) {
    [this.#devices, this.#span] = [devices, span];
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
    if (this.#zoom && this.#known) return false;
    this.#asking = new AbortController();
    const [from, to] = this.window;
    const count = Math.max(USUAL_METRICS, this.buckets.size);
    const [length, every] = bucketLength(to - from, count);
    // The newest known bucket may have grown.
    const start = this.#known ? Math.max(from, this.#known - length) : from;
    const first = Math.floor(start / length) * length;
    const { series } = await get(
      "series",
      { device: this.#devices, every, from: first, to: Math.ceil(to) },
      this.#asking.signal,
    );
    if (!this.#known || every !== this.every) this.buckets = new Map();
    [this.length, this.every, this.#known] = [length, every, to];
    for (const each of series) this.#of(each.device_id, each.metric).merge(each, first, from - length);
    return true;
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
