// Where a tab is in the stream, and the ids that it passed on its way there.

const KEPT = 4096;

export class Trail {
  /** @type {string[]} oldest first */
  #ids = [];

  /** The newest id of what has been dispatched here: where to resume. @returns {string | null} */
  get at() {
    return this.#ids.at(-1) ?? null;
  }

  /** Take the id of a frame that has just been dispatched. @param {string} id */
  note(id) {
    if (id === this.at) return;
    this.#ids.push(id);
    if (this.#ids.length > 2 * KEPT) this.#ids.splice(0, KEPT);
  }

  /**
   * The ids that were passed after another one; null where that one was never passed, or long ago.
   *
   * @param {string | null} id
   */
  since(id) {
    const place = id === null ? -1 : this.#ids.lastIndexOf(id);
    return place < 0 ? null : this.#ids.slice(place + 1);
  }

  /** @param {string} id */
  has(id) {
    return this.#ids.includes(id);
  }

  /** Begin anew, at an id or at nothing. @param {string | null} id */
  restart(id) {
    this.#ids = id === null ? [] : [id];
  }
}
