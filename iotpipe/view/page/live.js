// What the page knows of the pipeline, kept up to date: the last snapshot and devices, and whether they still come.
import { Failed, get, NotAllowed, Unreachable } from "./api.js";
import { now, setServerTime } from "./format.js";
import { Polling } from "./polling.js";

const SHORT_LIST = 200,
  SELDOM = 10_000,
  ENROLMENT = 60_000;

/** Asks for snapshots, and for devices while a view wants them. Calls `changed` after every answer. */
export class Live {
  /** The last snapshot of a pipeline that is up; null before there was one. */
  snapshot = null;
  /** Why there is no newer snapshot: {text, hint, since}. */
  missing = null;
  devices = null;
  /** Why the devices are not newer: {text, hint}. */
  devicesProblem = null;
  /** The devices that are enrolled for MQTT; null before they were read. */
  enrolment = null;
  /** What is wrong with the connection to `iotpipe view`: "", "lost" or "not allowed"; and since when. */
  connection = "";
  connectionSince = 0;
  linkRefused = false;
  range = 900;
  environment = null;
  every = 2000;
  #changed;
  #revision = null;
  #devicesRevision = null;
  #polling = null;
  #devicePolling = null;
  #enrolmentPolling = null;
  #wantsDevices = false;
  #wantsEnrolment = false;

  constructor(changed) {
    this.#changed = changed;
  }

  start() {
    this.#polling = new Polling(
      () => this.#askSnapshot(),
      () => this.every,
    );
    this.#devicePolling = new Polling(
      () => this.#askDevices(),
      () => this.#deviceInterval(),
    );
    this.#enrolmentPolling = new Polling(
      () => this.#askEnrolment(),
      () => (this.environment?.local ? SELDOM : ENROLMENT),
    );
  }

  /** Whether the environment has devices over MQTT. */
  get hasMqtt() {
    return Boolean(this.snapshot?.nodes.some((node) => node.kind === "rule"));
  }

  /** Ask now instead of later. */
  soon() {
    this.#polling.soon();
    this.#devicePolling.soon();
  }

  /** Whether the view needs the devices. */
  set wantsDevices(wanted) {
    this.#wantsDevices = wanted;
    if (wanted) this.#devicePolling?.soon();
  }

  /** Whether the view needs to know which devices are enrolled. */
  set wantsEnrolment(wanted) {
    this.#wantsEnrolment = wanted;
    if (wanted) this.#enrolmentPolling?.soon();
  }

  setRange(seconds) {
    this.range = seconds;
    this.#revision = null;
    this.#polling.soon();
  }

  async #askSnapshot() {
    const range = this.range;
    try {
      const known = this.#revision === null ? {} : { revision: this.#revision };
      const told = await get("snapshot", { range, ...known });
      this.connection = "";
      this.linkRefused = false;
      // The user may have chosen another range meanwhile.
      if (told && range === this.range) this.#take(told);
    } catch (error) {
      this.#onError(error);
    }
    this.#changed();
  }

  #take(told) {
    this.#revision = told.revision;
    this.every = told.every * 1000;
    this.environment = { name: told.environment, account: told.account, region: told.region, local: told.local };
    setServerTime(told.time);
    if (told.missing) this.missing = { ...told.missing, since: this.missing?.since ?? told.time };
    else [this.snapshot, this.missing] = [told, null];
  }

  #onError(error) {
    if (error instanceof Failed) {
      this.connection = "";
      this.missing = { text: error.message, hint: error.hint, since: this.missing?.since ?? now() };
      return;
    }
    if (!(error instanceof Unreachable || error instanceof NotAllowed)) throw error;
    const problem = error instanceof NotAllowed ? "not allowed" : "lost";
    // What was known may be of another run of the server: ask for all of it.
    this.#revision = this.#devicesRevision = null;
    if (this.connection !== problem) this.connectionSince = now();
    this.connection = problem;
  }

  async #askDevices() {
    if (!this.#wantsDevices || this.connection) return;
    try {
      const known = this.#devicesRevision === null ? {} : { revision: this.#devicesRevision };
      const told = await get("devices", known);
      this.devicesProblem = null;
      if (told && told.time !== null) this.#takeDevices(told);
    } catch (error) {
      if (error instanceof Failed) this.devicesProblem = { text: error.message, hint: error.hint };
      else this.#onError(error);
    }
    this.#changed();
  }

  async #askEnrolment() {
    if (!this.#wantsEnrolment || this.connection || !this.hasMqtt) return;
    try {
      this.enrolment = await get("enrolment", {});
    } catch (error) {
      if (error instanceof Failed) this.enrolment = { enabled: true, time: null, items: [], problem: error.message };
      else this.#onError(error);
    }
    this.#changed();
  }

  #takeDevices(told) {
    this.#devicesRevision = told.revision;
    // A device without a metric named `constructor` has no value of that name.
    for (const { latest } of told.items) Object.setPrototypeOf(latest, null);
    this.devices = told;
  }

  #deviceInterval() {
    return (this.devices?.items.length ?? 0) > SHORT_LIST ? Math.max(this.every, SELDOM) : this.every;
  }
}
