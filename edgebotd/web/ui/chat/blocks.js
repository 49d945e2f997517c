// Markdown that is still being written, cut into blocks: those that are finished are never looked at again, the last
// one is open. A whole text is cut by the same rules, so that nothing moves when a reply ends. Pure.

const HEAD = 12; // characters that tell what a line begins
const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const ANY_FENCE = /^\s*(`{3,}|~{3,})/;
const ITEM = /^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)/;
const INDENTED = /^(?: {2}|\t)/;
const CODE = /^(?: {4}|\t)/;

/** @typedef {{lang: string, code: string}} OpenFence */

export class Blocks {
  text = "";
  /** Finished blocks, as their text. @type {string[]} */
  closed = [];
  /** Grows whenever text that was there has changed. */
  cuts = 0;

  #start = 0; // of the open block
  #line = 0; // start of the line that is not complete
  #headSeen = false; // whether that line's head was looked at
  #blank = false;
  #kind = /** @type {"none" | "list" | "code" | "fence" | "other"} */ ("none");
  #fence = ""; // what closes the fence that is open
  #codeStart = -1;
  #ends = /** @type {number[]} */ ([]);

  /** The open block's text. */
  get open() {
    return this.text.slice(this.#start);
  }

  /** The open block where it is a fence at the top level: its code grows as text. @returns {OpenFence | null} */
  get openFence() {
    if (this.#kind !== "fence" || this.#codeStart < 0) return null;
    const info = this.text.slice(this.#start, this.#codeStart).trim().replace(/^(?:`+|~+)\s*/, "");
    return { lang: info.split(/\s/)[0], code: this.text.slice(this.#codeStart) };
  }

  /** @param {string} text */
  append(text) {
    this.text += text;
    for (;;) {
      const end = this.text.indexOf("\n", this.#line);
      const line = this.text.slice(this.#line, end < 0 ? this.#line + HEAD : end);
      if (!this.#headSeen && this.#fence === "" && (end >= 0 || line.length >= HEAD)) this.#look(line);
      if (end < 0) return;
      this.#complete(line, end + 1);
    }
  }

  /** Take everything from an offset on away. @param {number} offset in UTF-16 units */
  cut(offset) {
    if (offset >= this.text.length) return;
    const kept = this.text.slice(0, offset);
    // What closed a block came after it, so the last one that is left has to be looked at again.
    while (this.#ends.length > 0 && this.#ends[this.#ends.length - 1] > offset) this.#pop();
    this.#pop();
    this.cuts += 1;
    const start = this.#ends.at(-1) ?? 0;
    this.text = kept.slice(0, start);
    this.#start = this.#line = start;
    this.#begin("none");
    this.append(kept.slice(start));
  }

  /** Close what is open: nothing follows. */
  finish() {
    if (this.open.trim()) this.#close(this.text.length);
    return this.closed;
  }

  #pop() {
    this.#ends.pop();
    this.closed = this.closed.slice(0, this.#ends.length);
  }

  /** @param {"none" | "list" | "code" | "fence" | "other"} kind */
  #begin(kind) {
    this.#kind = kind;
    this.#blank = false;
    this.#fence = "";
    this.#codeStart = -1;
    this.#headSeen = false;
  }

  /** @param {number} end */
  #close(end) {
    this.closed = [...this.closed, this.text.slice(this.#start, end)];
    this.#ends.push(end);
    this.#start = end;
    this.#begin("none");
  }

  /** Decide by a line's head whether it goes on with the open block. @param {string} head */
  #look(head) {
    if (!head.trim()) {
      if (head.length < HEAD) return; // blank as far as it is known
      this.#headSeen = true;
      return;
    }
    const goesOn = this.#kind === "list" ? INDENTED.test(head) || ITEM.test(head) : this.#kind === "code" && CODE.test(head);
    const opens = FENCE.exec(head);
    if (this.#kind !== "none" && (this.#blank ? !goesOn : opens !== null && this.#kind === "other")) this.#close(this.#line);
    if (this.#kind === "none") {
      this.#kind = opens ? "fence" : ITEM.test(head) ? "list" : CODE.test(head) ? "code" : "other";
    }
    this.#blank = false;
    this.#headSeen = true;
    const fence = this.#kind === "code" ? null : ANY_FENCE.exec(head);
    if (fence) this.#fence = fence[1];
  }

  /** @param {string} line @param {number} next where the line after it starts */
  #complete(line, next) {
    this.#line = next;
    const opened = this.#headSeen && this.#fence !== "";
    this.#headSeen = false;
    if (opened) {
      if (this.#kind === "fence") this.#codeStart = next;
    } else if (this.#fence) {
      const mark = line.trim();
      if (mark.length >= this.#fence.length && mark === this.#fence[0].repeat(mark.length)) {
        this.#fence = "";
        if (this.#kind === "fence") this.#close(next);
      }
    } else if (!line.trim() && this.#kind !== "none") this.#blank = true;
  }
}

/** Cut a whole text. @param {string} text */
export function blocksOf(text) {
  const blocks = new Blocks();
  blocks.append(text);
  return blocks.finish();
}
