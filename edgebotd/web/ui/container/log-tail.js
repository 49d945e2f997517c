// The newest lines of a log, in memory: bounded, in order, none twice. Pure: no clock, no page.

/**
 * @typedef {{at: number, stream: "stdout" | "stderr", text: string}} LogLine as the API has it
 * @typedef {LogLine & {id: number, missed?: number}} Line `missed`: so many were left out here, and there is no text
 */

export const LIMIT = 5000;
/** Lines of a chunk, which is drawn as one. */
export const CHUNK = 100;
/** As long as the channel's are; the others are cut alike, so that the same line is known as one. */
const LONGEST = 8192;

// Colours and other commands to a terminal.
const COMMANDS = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;

/** @param {LogLine} line */
const key = (line) => `${line.at} ${line.stream} ${line.text}`;

/** @param {LogLine} line @returns {LogLine} */
function plain({ at, stream, text }) {
  const cut = text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1)}…`;
  return { at, stream, text: cut.replace(COMMANDS, "").replace(/\r$/, "") };
}

export class LogTail {
  /** Oldest first; a new array with each change. @type {Line[]} */
  lines = [];
  /** Whether older ones were dropped. */
  cut = false;
  #next = 0;
  /** Of the lines that were read: the channel may tell them a moment later. @type {Map<string, number>} */
  #read = new Map();

  /** When the newest line was written; null while there is none. */
  get newestAt() {
    return this.lines.findLast((line) => !line.missed)?.at ?? null;
  }

  /** Take what the channel told. @param {LogLine[]} lines @param {number} missed left out before them */
  add(lines, missed = 0) {
    const news = lines.map(plain).filter((line) => !this.#wasRead(line)).map((line) => this.#numbered(line));
    if (missed > 0) news.unshift({ ...this.#numbered({ at: lines[0]?.at ?? 0, stream: "stdout", text: "" }), missed });
    this.#keep([...this.lines, ...news]);
  }

  /**
   * Take what was read: of these lines those that are not here yet, each after the one that it was read after. Clocks
   * are set back now and then, so that times alone do not tell the order.
   *
   * @param {LogLine[]} read oldest first
   */
  merge(read) {
    /** @type {Map<string, number[]>} */
    const here = new Map();
    this.lines.forEach((line, index) => line.missed || here.set(key(line), [...(here.get(key(line)) ?? []), index]));
    /** By the place after which they come. @type {Map<number, LogLine[]>} */
    const news = new Map();
    let place = -1;
    let met = false;
    this.#read.clear();
    for (const line of read.map(plain)) {
      const found = here.get(key(line))?.shift();
      if (found !== undefined) {
        place = Math.max(place, found);
        met = true;
        continue;
      }
      const after = met ? place : this.lines.findLastIndex(({ at }) => at <= line.at);
      news.set(after, [...(news.get(after) ?? []), line]);
      this.#read.set(key(line), (this.#read.get(key(line)) ?? 0) + 1);
    }
    if (news.size === 0) return;
    const added = (/** @type {number} */ index) => (news.get(index) ?? []).map((line) => this.#numbered(line));
    const last = this.lines.length - 1;
    if (news.size === 1 && news.has(last)) this.#keep([...this.lines, ...added(last)]);
    else this.#keep([...added(-1), ...this.lines.flatMap((line, index) => [{ ...line, ...this.#numbered(line) }, ...added(index)])]);
  }

  clear() {
    this.lines = [];
    this.cut = false;
  }

  /** @param {LogLine} line */
  #wasRead(line) {
    const count = this.#read.get(key(line)) ?? 0;
    if (count > 0) this.#read.set(key(line), count - 1);
    return count > 0;
  }

  /** @param {LogLine} line @returns {Line} */
  #numbered({ at, stream, text }) {
    this.#next += 1;
    return { at, stream, text, id: this.#next };
  }

  /** @param {Line[]} lines */
  #keep(lines) {
    this.cut ||= lines.length > LIMIT;
    this.lines = lines.length > LIMIT ? lines.slice(-LIMIT) : lines;
  }
}

/** The lines that pass. @param {Line[]} lines @param {{text: string, stderr: boolean}} filter */
export function passing(lines, { text, stderr }) {
  const wanted = text.trim().toLocaleLowerCase();
  if (!wanted && !stderr) return lines;
  return lines.filter((line) => !line.missed && (!stderr || line.stream === "stderr") && line.text.toLocaleLowerCase().includes(wanted));
}

/** Lines in chunks that stay the same while lines come and go at the ends. @param {Line[]} lines @returns {{id: number, lines: Line[]}[]} */
export function chunks(lines) {
  /** @type {{id: number, lines: Line[]}[]} */
  const found = [];
  for (const line of lines) {
    const id = Math.floor(line.id / CHUNK);
    const last = found.at(-1);
    if (last?.id === id) last.lines.push(line);
    else found.push({ id, lines: [line] });
  }
  return found;
}
