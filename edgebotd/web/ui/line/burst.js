// How many events come at once after a break: what is being caught up on. Nothing in the stream says where that ends.

/** Fewer than so many make no burst that anybody would see. */
const LEAST = 20;
const WINDOW_MS = 250;

export class Burst {
  #count = 0;
  #told = 0;
  #inWindow = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer = undefined;

  /** @param {(behind: number) => void} tell how many so far; 0 once it is over */
  constructor(tell) {
    this.tell = tell;
  }

  /** A stream has begun that continues another. */
  start() {
    this.stop();
    this.#timer = setInterval(() => this.#look(), WINDOW_MS);
  }

  /** Count an event. */
  count() {
    if (this.#timer === undefined) return;
    this.#count++;
    this.#inWindow++;
    if (this.#count >= LEAST && this.#told === 0) this.#say(this.#count);
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#count = this.#told = this.#inWindow = 0;
  }

  #look() {
    // Replies that stream bring 20 events a second each; a replay brings them as fast as the network does.
    const over = this.#inWindow < LEAST;
    const seen = this.#told > 0;
    if (!over) this.#say(this.#count);
    this.#inWindow = 0;
    if (!over) return;
    this.stop();
    if (seen) this.tell(0);
  }

  /** @param {number} behind */
  #say(behind) {
    this.#told = behind;
    this.tell(behind);
  }
}
