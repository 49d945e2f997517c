// The channel without a stream, for where something on the way holds streams back: one long request after the other.

import { call, query } from "../api.js";

const WAIT_SECONDS = 25;
/** What the way there and back may take beyond that. */
const GRACE_MS = 15_000;
/** An empty answer that came at once is the daemon's way to say that it is full. */
const AT_ONCE_MS = 1000;
const PAUSE_MS = 2000;

/** @typedef {{verdict: string, reason?: string, cursor: string, events: import("../socket.js").BusEvent[]}} Answer */

export class Poll {
  #stopped = false;
  /** @type {AbortController | null} */
  #request = null;
  #wake = () => {};

  /**
   * @param {() => string | null} cursor
   * @param {{answer: (answer: Answer, first: boolean) => void, failed: (error: unknown) => void}} hooks
   */
  constructor(cursor, hooks) {
    this.cursor = cursor;
    this.hooks = hooks;
    this.#run();
  }

  stop() {
    this.#stopped = true;
    this.#request?.abort();
    this.#wake();
  }

  async #run() {
    for (let first = true; !this.#stopped; first = false) {
      const asked = Date.now();
      const wait = first ? 0 : WAIT_SECONDS;
      let answer;
      try {
        answer = await this.#ask(wait);
      } catch (error) {
        if (!this.#stopped) this.hooks.failed(error);
        return;
      }
      if (this.#stopped) return;
      this.hooks.answer(answer, first);
      if (wait > 0 && answer.events.length === 0 && Date.now() - asked < AT_ONCE_MS) await this.#pause();
    }
  }

  /** @param {number} wait @returns {Promise<Answer>} */
  async #ask(wait) {
    const request = (this.#request = new AbortController());
    const timer = setTimeout(() => request.abort(), wait * 1000 + GRACE_MS);
    try {
      return await call("GET", `/api/events/poll${query({ cursor: this.cursor(), wait })}`, undefined, { signal: request.signal });
    } finally {
      clearTimeout(timer);
    }
  }

  async #pause() {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    await new Promise((resolve) => {
      this.#wake = () => resolve(undefined);
      timer = setTimeout(resolve, PAUSE_MS * (0.5 + Math.random()));
    });
    clearTimeout(timer);
  }
}
