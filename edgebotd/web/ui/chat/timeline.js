// A conversation's messages: a window of bounded size over a history of any length, kept true by the channel.

import { call, path, Problem, query } from "../api.js";
import { whenBack } from "../back.js";
import { signal } from "../lib.js";
import { socket } from "../socket.js";
import { forgetLost } from "./runs.js";

export const PAGE = 40;
export const HELD = 120; // messages in memory and in the page at once

/** @typedef {import("./types.js").Message} Message */
/** @typedef {"loading" | "ready" | "failed" | "gone"} TimelineState */

/** @param {Message} message */
export const keyOf = (message) => `${message.role}:${message.runId}`;

/** @param {Message} one @param {Message} other */
const newer = (one, other) => ((one.editedAt ?? one.createdAt) >= (other.editedAt ?? other.createdAt) ? one : other);

export class Timeline {
  /** Oldest first. */
  messages = signal(/** @type {Message[]} */ ([]));
  state = signal(/** @type {TimelineState} */ ("loading"));
  error = signal(/** @type {Problem | null} */ (null));
  /** Which way more is being loaded. */
  busy = signal(/** @type {"older" | "newer" | null} */ (null));
  /** Messages that came below the window. */
  unseen = signal(0);
  /** Whether the view is at the end: then old messages make room for new ones. */
  stuck = true;
  /** The message that is looked at; null at the end. @type {string | null} */
  looked = null;
  /** Which way could not be loaded: not tried again by itself before the line is back. */
  failed = signal(/** @type {"older" | "newer" | null} */ (null));
  /** Whether something was missed since it was read. */
  stale = false;

  /** The next page's cursor; null: there is nothing more; undefined: only the window around a message tells. @type {string | null | undefined} */
  older = undefined;
  /** @type {string | null | undefined} */
  newer = null;
  #turn = 0;

  /** @param {string} botId @param {string} conversationId */
  constructor(botId, conversationId) {
    this.botId = botId;
    this.conversationId = conversationId;
  }

  get atEnd() {
    return this.newer === null;
  }

  /** Show the newest messages. */
  load() {
    return this.#fetch(() => this.#newest(PAGE));
  }

  /** Show the messages around one. @param {string} messageId */
  jump(messageId) {
    return this.#fetch(async () => {
      return (await this.#around(messageId, 2 * PAGE)) ?? (await this.#newest(PAGE));
    });
  }

  /** Read again what is shown, after something was missed: around what is looked at. */
  reload() {
    if (this.state.value !== "ready") return this.load();
    return this.#fetch(async () => {
      const place = this.looked === null ? null : await this.#around(this.looked, HELD);
      return place ?? (await this.#newest(Math.min(Math.max(this.messages.value.length, PAGE), HELD)));
    });
  }

  /** Load the way that has failed. */
  again() {
    const way = this.failed.value;
    this.failed.value = null;
    return way === "older" ? this.loadOlder() : this.loadNewer();
  }

  async loadOlder() {
    const oldest = this.messages.value[0];
    if (this.busy.value || this.failed.value || this.older === null || this.state.value !== "ready" || !oldest) return;
    await this.#extend("older", this.older === undefined ? this.#window({ messageId: oldest.id, limit: 2 * PAGE }) : this.#history(this.older, PAGE), (page) => {
      this.older = page.next ?? null;
      const held = this.#merged(page.items);
      if (held.length > HELD) this.newer = undefined;
      return held.slice(0, HELD);
    });
  }

  async loadNewer() {
    const newest = this.messages.value.at(-1);
    if (this.busy.value || this.failed.value || this.newer === null || this.state.value !== "ready" || !newest) return;
    await this.#extend("newer", this.#window(this.newer === undefined ? { messageId: newest.id, limit: 2 * PAGE }
      : { conversationId: this.conversationId, newer: this.newer, limit: PAGE }), (page) => {
      this.newer = page.newer ?? null;
      const held = this.#merged(page.items);
      if (held.length > HELD) this.older = undefined;
      if (this.newer === null) this.unseen.value = 0;
      return held.slice(-HELD);
    });
  }

  /** Take a message that was stored or changed. @param {Message} message */
  take(message) {
    const held = this.messages.value;
    const key = keyOf(message);
    const place = held.findIndex((one) => keyOf(one) === key);
    if (place >= 0) {
      this.messages.value = held.with(place, message);
      return;
    }
    const known = message.seq ?? Infinity;
    const first = held[0]?.seq ?? 0;
    if (this.older !== null && held.length > 0 && known < first) return; // an old one that is not shown
    if (!this.atEnd) {
      this.unseen.value += 1;
      return;
    }
    const next = this.#merged([message]);
    if (next.length > HELD && this.stuck) {
      this.older = undefined;
      this.messages.value = next.slice(-HELD);
    } else if (next.length > HELD) {
      this.newer = undefined;
      this.unseen.value += 1;
    } else this.messages.value = next;
  }

  /** @param {string | null} before @param {number} limit */
  #history(before, limit) {
    return call("GET", path`/api/bots/${this.botId}/chat/history` + query({ conversationId: this.conversationId, before, limit }));
  }

  /** @param {number} limit */
  async #newest(limit) {
    const { items, next } = await this.#history(null, limit);
    return { items, older: next ?? null, newer: null };
  }

  /** Null where there is no such message, or elsewhere: that says nothing of this conversation. @param {string} messageId @param {number} limit */
  async #around(messageId, limit) {
    const found = await this.#window({ messageId, limit }).catch(absent);
    const here = found?.items.every((/** @type {Message} */ message) => message.conversationId === this.conversationId);
    return here ? { items: found.items, older: found.next ?? null, newer: found.newer ?? null } : null;
  }

  /** @param {Record<string, string | number | null>} which */
  #window(which) {
    return call("GET", path`/api/bots/${this.botId}/chat/window` + query(which));
  }

  /** What is held with others, in order, each once. @param {Message[]} others */
  #merged(others) {
    const found = new Map(this.messages.value.map((message) => [keyOf(message), message]));
    for (const message of others) {
      const held = found.get(keyOf(message));
      found.set(keyOf(message), held ? newer(held, message) : message);
    }
    return [...found.values()].sort((one, other) => (one.seq ?? Infinity) - (other.seq ?? Infinity));
  }

  /** @param {() => Promise<{items: Message[], older: string | null, newer: string | null}>} load */
  async #fetch(load) {
    const turn = ++this.#turn;
    const before = this.messages.value;
    try {
      const { items, older, newer: after } = await load();
      if (turn !== this.#turn) return;
      // What the channel told meanwhile stays, as far as it lies behind what was loaded.
      const top = Math.max(0, ...items.map((message) => message.seq ?? 0));
      const known = new Set(items.map(keyOf));
      const late = this.messages.value.filter((message) => !before.includes(message) && (message.seq ?? Infinity) > top && !known.has(keyOf(message)));
      const changed = new Map(this.messages.value.filter((message) => !before.includes(message)).map((message) => [keyOf(message), message]));
      const held = items.toReversed().map((message) => {
        const other = changed.get(keyOf(message));
        return other ? newer(other, message) : message;
      });
      this.older = older;
      this.newer = after;
      if (after === null) this.unseen.value = 0;
      this.messages.value = after === null ? [...held, ...late] : held;
      this.stale = false;
      forgetLost(this.conversationId);
      this.error.value = this.failed.value = null;
      this.state.value = "ready";
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#failed(error);
    }
  }

  /**
   * @param {"older" | "newer"} way @param {Promise<any>} asked
   * @param {(page: {items: Message[], next?: string | null, newer?: string | null}) => Message[]} take
   */
  async #extend(way, asked, take) {
    const turn = this.#turn;
    this.busy.value = way;
    try {
      const page = await asked;
      // Meanwhile another part of the history may be shown, to which this page is no neighbour.
      if (turn === this.#turn) this.messages.value = take(page);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (turn !== this.#turn) return;
      this.error.value = error;
      this.failed.value = way;
    } finally {
      this.busy.value = null;
    }
  }

  /** @param {unknown} error */
  #failed(error) {
    if (!(error instanceof Problem)) throw error;
    // 400: the address names what can be no conversation.
    if (error.status === 404 || error.status === 400) this.state.value = "gone";
    // What is shown already stays, while only the line is at fault.
    else if (this.state.value !== "ready") this.state.value = "failed";
    this.error.value = error;
  }
}

/** Null where there is no such message, or can be none. @param {unknown} error */
function absent(error) {
  if (error instanceof Problem && (error.status === 404 || error.status === 400)) return null;
  throw error;
}

const KEPT = 4;
/** The conversations that were looked at last. @type {Map<string, Timeline>} */
const timelines = new Map();

/** @param {string} botId @param {string} conversationId */
function made(botId, conversationId) {
  let timeline = timelines.get(conversationId);
  if (timeline === undefined) timelines.set(conversationId, (timeline = new Timeline(botId, conversationId)));
  return timeline;
}

/** The one that is looked at now; those that were longest ago are forgotten. @param {string} botId @param {string} conversationId */
export function timelineOf(botId, conversationId) {
  const timeline = made(botId, conversationId);
  timelines.delete(conversationId);
  timelines.set(conversationId, timeline);
  for (const old of timelines.keys()) {
    if (timelines.size <= KEPT) break;
    timelines.delete(old);
  }
  return timeline;
}

/** Have a message shown that is stored for sure, before the channel tells it. @param {Message} message */
export function note(message) {
  const timeline = made(message.botId, message.conversationId);
  if (!timeline.messages.value.some((one) => keyOf(one) === keyOf(message))) timeline.take(message);
}

socket.on("chat-message", ({ message }) => timelines.get(message.conversationId)?.take(message));
whenBack(() => {
  for (const timeline of timelines.values()) {
    if (timeline.state.value === "failed" || timeline.stale) timeline.reload();
    else if (timeline.failed.value) timeline.again();
  }
});
// The one that is shown is read again at once, others when they are.
socket.on("gap", () => {
  for (const timeline of timelines.values()) timeline.stale = true;
});
socket.on("conversation-update", (event) => {
  const timeline = timelines.get(event.conversationId);
  if (timeline === undefined) return;
  if (event.change === "deleted") timeline.state.value = "gone";
  else if (event.change === "created" && timeline.state.value === "gone") timeline.load();
});
