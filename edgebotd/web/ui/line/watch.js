// Whether the tab that leads is there: who follows asks, by messages, which no browser slows down in hidden tabs.

/** A leader of whom a tab has heard nothing for so long is asked whether it is there ... */
const QUIET_MS = 400;
const HIDDEN_QUIET_MS = 10_000;
/** ... and has so long to answer. */
const ANSWER_MS = 800;
/** Tabs that miss the leader do not all take its place at once; those that somebody looks at come first. */
const STAGGER_MS = 150;
/** A timer that comes later than this says that this tab itself slept. */
const LATE_MS = 1000;

export class Watch {
  #heardAt = 0;
  /** @type {number | null} */
  #askedAt = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer = undefined;
  #timerAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #replacing = undefined;

  /** @param {{ask: (wake: boolean) => void, replace: () => void}} hooks `wake`: somebody looks, or the network is back */
  constructor(hooks) {
    this.hooks = hooks;
  }

  start() {
    this.heard();
    this.#arm(QUIET_MS);
  }

  stop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#replacing);
  }

  /** The leader has given a sign of life. */
  heard() {
    this.#heardAt = Date.now();
    this.#askedAt = null;
    clearTimeout(this.#replacing);
  }

  /** Ask at once. */
  wake() {
    this.#ask(true);
    this.#arm(ANSWER_MS);
  }

  /** Take the leader's place soon, unless another tab is faster. @param {number} [later] */
  replace(later = document.visibilityState === "visible" ? 0 : 2 * STAGGER_MS) {
    clearTimeout(this.#replacing);
    this.#replacing = setTimeout(() => this.hooks.replace(), later + Math.random() * STAGGER_MS);
  }

  /** @param {boolean} wake */
  #ask(wake) {
    this.#askedAt = Date.now();
    this.hooks.ask(wake);
  }

  /** @param {number} ms */
  #arm(ms) {
    clearTimeout(this.#timer);
    this.#timerAt = Date.now() + ms;
    this.#timer = setTimeout(() => this.#look(), ms);
  }

  #look() {
    const now = Date.now();
    const quiet = document.visibilityState === "visible" ? QUIET_MS : HIDDEN_QUIET_MS;
    if (now - this.#timerAt > LATE_MS) this.#askedAt = null;
    if (this.#askedAt !== null && now - this.#askedAt >= ANSWER_MS) {
      this.heard();
      this.replace();
    } else if (this.#askedAt === null && now - this.#heardAt >= quiet) {
      this.#ask(false);
    }
    this.#arm(this.#askedAt === null ? Math.max(quiet - (now - this.#heardAt), 50) : ANSWER_MS);
  }
}
