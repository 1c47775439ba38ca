// Asks again and again: not while the page is hidden, and one request at a time.

/** Calls `ask` every `every()` milliseconds until `stop` is called. `ask` handles its own errors. */
export class Polling {
  #ask;
  #every;
  #timer = 0;
  #running = false;
  #stopped = false;
  #again = false;

  constructor(ask, every) {
    this.#ask = ask;
    this.#every = every;
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.soon();
  }

  /** Ask now, or once more when the running request has ended. */
  async soon() {
    clearTimeout(this.#timer);
    if (this.#running) this.#again = true;
    if (this.#running || this.#stopped || document.hidden) return;
    this.#running = true;
    this.#again = false;
    try {
      await this.#ask();
    } finally {
      this.#running = false;
      if (this.#again) this.soon();
      else if (!this.#stopped && !document.hidden) this.#timer = setTimeout(() => this.soon(), this.#every());
    }
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#onVisibility);
  }

  #onVisibility = () => {
    if (!document.hidden) this.soon();
    else clearTimeout(this.#timer);
  };
}
