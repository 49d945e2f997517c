// What the events page remembers: the newest events, and how many came in each second. Pure: no clock, no page.

/** @typedef {{id: number, at: number, type: string, botId: string | null, line: string, event: any}} Entry */
/** @typedef {{type: string, bot: string, text: string}} Filter empty: everything */

export const LIMIT = 1000;
export const SECONDS = 300;
const LINE = 240;

export class Tail {
  /** Oldest first. @type {Entry[]} */
  entries = [];
  /** How many ever came. */
  total = 0;
  /** Second (Unix) -> events in it. @type {Map<number, number>} */
  #counts = new Map();

  /** @param {any} event @param {number} at */
  add(event, at) {
    const { type, botId = null, ...rest } = event;
    this.total += 1;
    this.entries.push({ id: this.total, at, type, botId, line: JSON.stringify(rest).slice(0, LINE), event });
    // Half as many again before it is cut, so that a flood does not move the whole array with each event.
    if (this.entries.length > LIMIT * 1.5) this.entries = this.entries.slice(-LIMIT);
    const second = Math.floor(at / 1000);
    this.#counts.set(second, (this.#counts.get(second) ?? 0) + 1);
    for (const old of this.#counts.keys()) {
      if (old > second - SECONDS) break;
      this.#counts.delete(old);
    }
  }

  /** The newest first, at most `LIMIT`. @returns {Entry[]} */
  newest() {
    return this.entries.slice(-LIMIT).reverse();
  }

  clear() {
    this.entries = [];
  }

  /** Events in each of the last seconds, the one that runs left out. @param {number} at @returns {[number[], number[]]} seconds, counts */
  rate(at) {
    const end = Math.floor(at / 1000);
    const seconds = Array.from({ length: SECONDS }, (_, index) => end - SECONDS + index);
    return [seconds, seconds.map((second) => this.#counts.get(second) ?? 0)];
  }
}

/** Whether an entry passes a filter; text is looked for in the whole event. @param {Entry} entry @param {Filter} filter */
export function passes(entry, { type, bot, text }) {
  if ((type && entry.type !== type) || (bot && entry.botId !== bot)) return false;
  return !text || JSON.stringify(entry.event).toLowerCase().includes(text.toLowerCase());
}
