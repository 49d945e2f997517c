// What the tabs of this browser want watched, which the daemon sends only while somebody looks. Each tab tells its share,
// all of them remember it, and the one that leads asks for the sum on the stream that they share.

import { call, path, Problem } from "../api.js";

/** How often a tab says that it still looks ... */
const RENEW_MS = 30_000;
/** ... and after which silence it is taken for gone, as one that crashed says nothing. Timers of hidden tabs come late. */
const GONE_MS = 150_000;
/** Before the daemon is asked again, where it could not be reached. */
const AGAIN_MS = 5000;

const KINDS = /** @type {const} */ (["logs", "stats"]);
const NOTHING = '{"logs":[],"stats":[]}';

/** @typedef {{logs: string[], stats: string[]}} Share ids of bots */

/** All that is in any of them, each once and in order. Pure. @param {Iterable<Share>} shares @returns {Share} */
export function sum(shares) {
  const all = [...shares];
  const of = (/** @type {typeof KINDS[number]} */ kind) => [...new Set(all.flatMap((share) => share[kind]))].sort();
  return { logs: of("logs"), stats: of("stats") };
}

export class Shares {
  /** @type {Share} */
  #mine = { logs: [], stats: [] };
  /** @type {Map<string, {share: Share, at: number}>} what other tabs want */
  #others = new Map();
  /** The stream, while this tab leads. @type {string | null} */
  #stream = null;
  /** What it was asked for last. */
  #asked = NOTHING;
  #asking = false;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer = undefined;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #again = undefined;

  /** @param {(share: Share) => void} tell tells the other tabs what this one wants */
  constructor(tell) {
    this.tell = tell;
  }

  /** This tab wants this, and nothing else. @param {Share} share */
  want(share) {
    this.#mine = share;
    this.tell(share);
    this.#changed();
  }

  /** Say again what this tab wants, to one who may not know. */
  repeat() {
    if (JSON.stringify(this.#mine) !== NOTHING) this.tell(this.#mine);
  }

  /** Another tab has told its share. @param {string} tab @param {Share} share */
  heard(tab, share) {
    if (JSON.stringify(share) === NOTHING) this.#others.delete(tab);
    else this.#others.set(tab, { share, at: Date.now() });
    this.#changed();
  }

  /** This tab has a stream, which nothing was asked of yet; null: it leads no more. @param {string | null} id */
  lead(id) {
    this.#stream = id;
    this.#asked = NOTHING;
    this.#ask();
  }

  /** The tab closes, or is about to be frozen. */
  leave() {
    this.lead(null);
    clearInterval(this.#timer);
    clearTimeout(this.#again);
    this.#timer = undefined;
    if (JSON.stringify(this.#mine) !== NOTHING) this.tell({ logs: [], stats: [] });
  }

  /** It is back. */
  back() {
    this.repeat();
    this.#changed();
  }

  #changed() {
    const idle = this.#others.size === 0 && JSON.stringify(this.#mine) === NOTHING;
    if (idle) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    } else this.#timer ??= setInterval(() => this.#look(), RENEW_MS);
    this.#ask();
  }

  #look() {
    this.repeat();
    for (const [tab, { at }] of this.#others) if (Date.now() - at > GONE_MS) this.#others.delete(tab);
    this.#changed();
  }

  /** Have the stream watch what is wanted now: one request after the other, the newest word last. */
  async #ask() {
    if (this.#asking) return;
    this.#asking = true;
    for (;;) {
      const id = this.#stream;
      const wanted = sum([this.#mine, ...[...this.#others.values()].map((one) => one.share)]);
      const words = JSON.stringify(wanted);
      if (id === null || words === this.#asked) break;
      this.#asked = words;
      if (!(await this.#put(id, wanted)) && this.#stream === id) {
        // What else changes meanwhile asks again too.
        this.#again = setTimeout(() => ((this.#asked = ""), this.#ask()), AGAIN_MS);
        break;
      }
    }
    this.#asking = false;
  }

  /** @param {string} id @param {Share} wanted @returns {Promise<boolean>} whether the daemon has decided on it */
  async #put(id, wanted) {
    const send = (/** @type {Share} */ share) => call("PUT", path`/api/streams/${id}/watch`, share);
    try {
      await send(wanted);
      return true;
    } catch (error) {
      if (!(error instanceof Problem) || (error.status !== 403 && error.status !== 404)) return false;
    }
    // One bot that may not be watched any more refuses all of them: keep the others.
    /** @type {Share} */
    const kept = { logs: [], stats: [] };
    for (const kind of KINDS) {
      for (const bot of wanted[kind]) {
        const alone = await send({ logs: [], stats: [], [kind]: [bot] }).then(() => true, () => false);
        if (alone) kept[kind].push(bot);
      }
    }
    // Also where nothing is left: what was asked for last is none of it.
    return await send(kept).then(() => true, () => true);
  }
}
