// Where the timeline stands: at its end, where it follows what comes, or at a message, which then stays where it is,
// whatever comes or goes above and below it.

const NEAR = 800; // pixels from an end at which more is asked for
const END = 40; // pixels that still count as the end

export class Keeper {
  /** Whether the view follows what comes. */
  stuck = true;

  /** @type {{element: Element, top: number} | null} */
  #anchor = null;
  #top = 0; // where we last knew the view to be
  #observer = new ResizeObserver(() => this.settle());
  #onScroll = () => this.#moved();

  /**
   * @param {HTMLElement} box what scrolls @param {HTMLElement} list what is in it
   * @param {{onNear: (end: "older" | "newer") => void, onMove: () => void, mayStick: () => boolean}} told
   */
  constructor(box, list, told) {
    this.box = box;
    this.list = list;
    this.told = told;
    box.addEventListener("scroll", this.#onScroll, { passive: true });
    this.#observer.observe(list);
    this.#observer.observe(box);
  }

  close() {
    this.#observer.disconnect();
    this.box.removeEventListener("scroll", this.#onScroll);
  }

  /** Go to the end, and stay there. */
  toEnd() {
    this.stuck = true;
    this.settle();
  }

  /** Show an element. @param {Element} element @param {ScrollLogicalPosition} block */
  show(element, block) {
    this.stuck = false;
    element.scrollIntoView({ block });
    this.#note();
    // Rows get their height after this: it is this one that stays, not the first that is seen.
    this.#anchor = { element, top: element.getBoundingClientRect().top - this.box.getBoundingClientRect().top };
  }

  /** After something has changed: be where we were. */
  settle() {
    const { box } = this;
    // A person has scrolled up, and the browser has not told us yet.
    if (this.stuck && box.scrollTop < this.#top - 2 && !this.#atEnd()) this.stuck = false;
    if (this.stuck) box.scrollTop = box.scrollHeight;
    else if (this.#anchor?.element.isConnected) {
      // The same of a scroll within the history: it is not taken back. (At the end it may be that there is less now.)
      const scrolled = this.#atEnd() ? 0 : box.scrollTop - this.#top;
      const moved = this.#anchor.element.getBoundingClientRect().top - box.getBoundingClientRect().top - this.#anchor.top + scrolled;
      if (Math.abs(moved) >= 1) box.scrollTop += moved;
      const { element } = this.#anchor;
      this.#note();
      this.#anchor = { element, top: element.getBoundingClientRect().top - box.getBoundingClientRect().top };
      return;
    }
    this.#note();
  }

  /** The rows that are seen, from the first to the last, as children of the list. */
  seen() {
    const { top, bottom } = this.box.getBoundingClientRect();
    const rows = this.list.children;
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].getBoundingClientRect().bottom <= top) low = middle + 1;
      else high = middle;
    }
    const found = [];
    for (let place = low; place < rows.length && rows[place].getBoundingClientRect().top < bottom; place += 1) found.push(rows[place]);
    return found;
  }

  #atEnd() {
    const { box } = this;
    return box.scrollHeight - box.scrollTop - box.clientHeight < END;
  }

  #moved() {
    // Our own scrolling, whose place is noted already; rows may have grown since, and are about to be settled.
    if (this.box.scrollTop === this.#top && !this.#atEnd()) return;
    // The event of our own scrolling comes late: what has grown meanwhile has not moved the view up.
    const kept = this.stuck && this.box.scrollTop >= this.#top - 2;
    this.stuck = (kept || this.#atEnd()) && this.told.mayStick();
    this.#note();
  }

  #note() {
    const { box } = this;
    this.#top = box.scrollTop;
    const first = this.seen().find((row) => row instanceof HTMLElement && row.dataset.id);
    this.#anchor = first ? { element: first, top: first.getBoundingClientRect().top - box.getBoundingClientRect().top } : null;
    if (box.scrollTop < NEAR) this.told.onNear("older");
    if (box.scrollHeight - box.scrollTop - box.clientHeight < NEAR) this.told.onNear("newer");
    this.told.onMove();
  }
}
