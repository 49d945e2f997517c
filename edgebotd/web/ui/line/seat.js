// Which tab of this browser leads: whoever holds a lock. Where there are no Web Locks (an origin that is not secure),
// it is whoever says so, and the newest word counts.

// With another protocol between the tabs comes another number, so that tabs of two versions do not mix.
const NAME = "edgebotd.line.1";

export class Seat {
  #locks = typeof navigator.locks === "undefined" ? null : navigator.locks;
  /** @type {AbortController | null} the place in the queue */
  #queued = null;
  /** @type {(() => void) | null} gives the lock back */
  #release = null;
  /** Counts what was asked for, so that a late answer to what nobody wants any more is known as such. */
  #turn = 0;

  /** @param {{lead: () => void, lost: () => void}} hooks */
  constructor(hooks) {
    this.hooks = hooks;
  }

  /** Whether a tab's end gives the lead away by itself. */
  get guarded() {
    return this.#locks !== null;
  }

  /** Wait for the lead. */
  queue() {
    if (this.#locks === null || this.#queued !== null || this.#release !== null) return;
    this.#queued = new AbortController();
    this.#ask({ signal: this.#queued.signal });
  }

  /** Take the lead from a tab that does not answer. */
  steal() {
    if (this.#locks === null) {
      this.hooks.lead();
      return;
    }
    this.#withdraw();
    this.#ask({ steal: true });
  }

  /** Give the lead back, or the place in the queue. */
  leave() {
    this.#turn++;
    this.#withdraw();
    this.#release?.();
    this.#release = null;
  }

  #withdraw() {
    this.#queued?.abort();
    this.#queued = null;
  }

  /** @param {LockOptions} options */
  async #ask(options) {
    const turn = ++this.#turn;
    let held = false;
    try {
      await /** @type {LockManager} */ (this.#locks).request(NAME, options, () => {
        if (turn !== this.#turn) return undefined;
        held = true;
        this.#queued = null;
        const until = new Promise((resolve) => (this.#release = () => resolve(undefined)));
        this.hooks.lead();
        return until;
      });
    } catch (error) {
      if (/** @type {DOMException} */ (error).name !== "AbortError") {
        // A browser that has locks but gives none here (storage is blocked).
        this.#locks = null;
        this.#queued = null;
        return;
      }
      if (!held || turn !== this.#turn) return;
      // Stolen: the tab was frozen, or too slow to answer.
      this.#release = null;
      this.hooks.lost();
      this.queue();
    }
  }
}
