// What a new tab must know to be right without asking anybody: folded from the events, as the server's snapshot is.

/** @typedef {import("../socket.js").BusEvent} BusEvent */

/** The key under which only the newest event of a type counts. @type {Record<string, (event: BusEvent) => string>} */
const LATEST = {
  "bots-status-update": () => "",
  "docker:status": () => "",
  "auth-profiles:usage-updated": (event) => event.profileId,
  "job:status": (event) => event.job,
};

const TERMINAL = new Set(["finished", "aborted", "failed", "interrupted"]);

/** @typedef {{status: BusEvent | null, delta: BusEvent | null}} Run */

export class Snapshot {
  /** @type {Map<string, BusEvent>} */
  #latest = new Map();
  /** @type {Map<string, Run>} runs that are under way, with their text so far */
  #runs = new Map();

  /** Whether a snapshot tells what events of this type told; the others are to be passed on one by one. @param {string} type */
  static holds(type) {
    return type in LATEST || type === "chat-status" || type === "chat-delta";
  }

  /** @param {BusEvent} event */
  fold(event) {
    if (event.type in LATEST) {
      this.#latest.set(`${event.type} ${LATEST[event.type](event)}`, event);
    } else if (event.type === "chat-delta") {
      const run = this.#run(event);
      const before = run.delta?.text ?? "";
      // UTF-16 code units, which is what JavaScript counts.
      run.delta = { ...event, offset: 0, text: before.slice(0, event.offset) + event.text };
    } else if (event.type === "chat-status") {
      if (TERMINAL.has(event.state)) this.#runs.delete(key(event));
      else this.#run(event).status = event;
    } else if (event.type === "chat-message" && event.message.role === "assistant" && event.message.state !== "pending") {
      // A break may have swallowed how the run ended, which no journal keeps; its message says that it has.
      this.#runs.delete(key({ ...event, runId: event.message.runId }));
    }
  }

  /** The events that tell all of it, in the server's order. @returns {BusEvent[]} */
  events() {
    const runs = [...this.#runs.values()].flatMap((run) => [run.status, run.delta]);
    return [...this.#latest.values(), ...runs.filter((event) => event !== null)];
  }

  clear() {
    this.#latest.clear();
    this.#runs.clear();
  }

  /** @param {BusEvent} event */
  #run(event) {
    let run = this.#runs.get(key(event));
    if (run === undefined) this.#runs.set(key(event), (run = { status: null, delta: null }));
    return run;
  }
}

/** @param {BusEvent} event */
function key(event) {
  return `${event.botId} ${event.runId}`;
}
