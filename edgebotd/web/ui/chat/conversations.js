// The conversations of a bot with what is unread in them, kept true by the channel.

import { call, path, Problem, query } from "../api.js";
import { whenBack } from "../back.js";
import { signal } from "../lib.js";
import { plain } from "../plain.js";
import { socket } from "../socket.js";
import { age, day, now } from "../time.js";
import { owner } from "./owner.js";

const PAGE = 50;
const WEEK_MS = 7 * 86_400_000;
export const UNREAD_CEILING = 100; // the daemon counts no further

/** @typedef {import("./types.js").Row} Row */

export class Conversations {
  rows = signal(/** @type {Map<string, Row>} */ (new Map()));
  state = signal(/** @type {"loading" | "ready" | "failed"} */ ("loading"));
  error = signal(/** @type {Problem | null} */ (null));
  /** Whether there are older ones than are loaded. */
  more = signal(/** @type {string | null} */ (null));
  #busy = false;

  /** @param {string} botId */
  constructor(botId) {
    this.botId = botId;
    this.load();
  }

  /** The one that changed last comes first. */
  get sorted() {
    return [...this.rows.value.values()].sort((one, other) => changedAt(other) - changedAt(one));
  }

  async load() {
    try {
      const page = await call("GET", path`/api/bots/${this.botId}/conversations` + query({ limit: PAGE }));
      // What is beyond the first page stays: it is where one has scrolled to.
      const oldest = page.items.at(-1)?.conversation.updatedAt ?? 0;
      const kept = page.next === null || page.next === undefined ? [] : [...this.rows.value].filter(([, row]) => row.conversation.updatedAt < oldest);
      if (kept.length === 0) this.more.value = page.next ?? null;
      this.rows.value = new Map([...page.items.map((/** @type {Row} */ row) => [row.conversation.id, row]), ...kept]);
      this.state.value = "ready";
      this.error.value = null;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.error.value = error;
      if (this.state.value !== "ready") this.state.value = "failed";
    }
  }

  async loadMore() {
    if (this.#busy || this.more.value === null) return;
    this.#busy = true;
    try {
      const page = await call("GET", path`/api/bots/${this.botId}/conversations` + query({ limit: PAGE, before: this.more.value }));
      this.more.value = page.next ?? null;
      const rows = new Map(this.rows.value);
      for (const row of page.items) if (!rows.has(row.conversation.id)) rows.set(row.conversation.id, row);
      this.rows.value = rows;
      this.error.value = null;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.error.value = error;
    } finally {
      this.#busy = false;
    }
  }

  /** @param {string} id @param {(row: Row) => Row} change */
  #change(id, change) {
    const row = this.rows.value.get(id);
    if (row !== undefined) this.rows.value = new Map(this.rows.value).set(id, change(row));
  }

  /** @param {any} event `conversation-update` */
  updated(event) {
    const id = event.conversationId;
    if (event.change === "deleted") {
      const rows = new Map(this.rows.value);
      rows.delete(id);
      this.rows.value = rows;
    } else if (event.change === "read") {
      if (event.userId === owner()) this.read(id, event.readSeq);
    } else if (event.conversation) {
      const row = this.rows.value.get(id) ?? { unread: 0, readSeq: 0, last: null };
      this.rows.value = new Map(this.rows.value).set(id, { ...row, conversation: event.conversation });
    }
  }

  /** @param {string} id @param {number} seq up to which I have read */
  read(id, seq) {
    this.#change(id, (row) => {
      if (seq <= row.readSeq) return row;
      return { ...row, readSeq: seq, unread: seq >= (row.last?.seq ?? 0) ? 0 : row.unread };
    });
  }

  /** @param {import("./types.js").Message} message */
  took(message) {
    const id = message.conversationId;
    if (!this.rows.value.has(id)) {
      if (this.state.value === "ready") this.#fetch(id, message);
      return;
    }
    this.#change(id, (row) => {
      const last = row.last?.seq ?? 0;
      const seq = message.seq ?? last + 1;
      if (seq < last) return row;
      const counts = seq > last && seq > row.readSeq && message.userId !== owner();
      return { ...row, last: message, unread: counts ? Math.min(row.unread + 1, UNREAD_CEILING) : row.unread };
    });
  }

  /** One that is not in the list yet, or again. @param {string} id @param {import("./types.js").Message} message */
  async #fetch(id, message) {
    const conversation = await call("GET", path`/api/bots/${this.botId}/conversations/${id}`).catch(() => null);
    if (conversation === null || this.rows.value.has(id)) return;
    this.rows.value = new Map(this.rows.value).set(id, { conversation, unread: message.userId === owner() ? 0 : 1, readSeq: 0, last: message });
  }
}

/** @param {Row} row */
export const changedAt = (row) => Math.max(row.conversation.updatedAt, row.last?.createdAt ?? 0);

/** How long ago, as long as that says more than the date. @param {number} at */
export const when = (at) => (now.value - at < WEEK_MS ? age(at) : day(at));

/** What a row is called. @param {Row} row */
export function titleOf(row) {
  if (row.conversation.title) return row.conversation.title;
  const text = row.last?.parts.find((part) => part.type === "text");
  return text?.type === "text" ? plain(text.text.slice(0, 240)).slice(0, 60) : "";
}

/** @type {Map<string, Conversations>} */
const byBot = new Map();

/** @param {string} botId */
export function conversationsOf(botId) {
  let found = byBot.get(botId);
  if (found === undefined) byBot.set(botId, (found = new Conversations(botId)));
  return found;
}

socket.on("conversation-update", (event) => byBot.get(event.botId)?.updated(event));
socket.on("chat-message", (event) => byBot.get(event.botId)?.took(event.message));
socket.on("gap", () => {
  for (const conversations of byBot.values()) conversations.load();
});
whenBack(() => {
  for (const conversations of byBot.values()) {
    if (conversations.state.value === "failed") conversations.load();
    else if (conversations.error.value) conversations.loadMore();
  }
});
