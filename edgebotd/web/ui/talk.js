// What was last said with each bot, how much of it I have not read, and what a bot is writing just now.

import { call, Problem } from "./api.js";
import { me } from "./house.js";
import { computed, signal } from "./lib.js";
import { plain } from "./plain.js";
import { socket } from "./socket.js";

/**
 * @typedef {{at: number, role: "user" | "assistant", userId: string | null, text: string, conversationId: string, state: string}} Last
 * @typedef {{unread: number, last: Last | null}} Talk
 * @typedef {{runId: string, conversationId: string, tail: string, end: number}} Writing `tail` is the end of the reply so
 *   far, which ends at `end`, in UTF-16 code units
 * @typedef {import("./lib.js").Signal<Writing | null>} WritingSignal
 */

const PREVIEW = 200;
const RELOAD_MS = 300;

/** By bot. */
export const talk = signal(/** @type {Map<string, Talk>} */ (new Map()));

/** Over all bots. */
export const unreadTotal = computed(() => [...talk.value.values()].reduce((sum, one) => sum + one.unread, 0));

/** @type {Map<string, WritingSignal>} */
const writing = new Map();

/** What a bot writes now, as a signal; null in between. @param {string} botId @returns {WritingSignal} */
export function writingOf(botId) {
  let found = writing.get(botId);
  if (found === undefined) writing.set(botId, (found = signal(/** @type {Writing | null} */ (null))));
  return found;
}

/** @param {string} botId @param {Partial<Talk>} news */
function change(botId, news) {
  const before = talk.value.get(botId) ?? { unread: 0, last: null };
  talk.value = new Map(talk.value).set(botId, { ...before, ...news });
}

/** A message in one line of plain words. @param {{type: string, [key: string]: any}[]} parts */
export function preview(parts) {
  /** @type {string[]} */
  const words = [];
  let length = 0;
  for (const part of parts) {
    const text = part.type === "text" ? part.text : part.type === "error" ? part.message : part.type === "attachment" ? part.name : "";
    if (!text) continue;
    words.push(text.slice(0, PREVIEW));
    if ((length += text.length) >= PREVIEW) break;
  }
  return plain(words.join("\n")).slice(0, PREVIEW);
}

/** Fold new text into what a bot writes; an offset below its length means that a retry replaced the rest. Pure.
 *
 * @param {Writing | null} before @param {{runId: string, conversationId: string, offset: number, text: string}} delta
 * @returns {Writing | null}
 */
export function folded(before, { runId, conversationId, offset, text }) {
  // One line shows one run: the first one, until it ends.
  if (before !== null && before.runId !== runId) return before;
  const kept = before === null ? "" : before.tail.slice(0, Math.max(0, before.tail.length - Math.max(0, before.end - offset)));
  return { runId, conversationId, tail: (kept + text).slice(-PREVIEW), end: offset + text.length };
}

let timer = 0;

async function load() {
  try {
    const { items } = await call("GET", "/api/bots");
    /** @type {Map<string, Talk>} */
    const fresh = new Map();
    for (const { botId, unread, last } of items) {
      const before = talk.value.get(botId);
      const said = last ? { ...last, text: plain(last.text) } : last;
      fresh.set(botId, { unread: unread ?? before?.unread ?? 0, last: said === undefined ? (before?.last ?? null) : said });
    }
    talk.value = fresh;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    // The strip says how the line is; the next event comes back here.
  }
}

/** Read it again, once for many reasons. */
function loadSoon(delay = RELOAD_MS) {
  clearTimeout(timer);
  timer = setTimeout(load, delay);
}

/** @param {{botId: string, message: any}} event */
function heard({ botId, message }) {
  const last = talk.value.get(botId)?.last ?? null;
  if (message.role === "assistant") {
    if (writingOf(botId).value?.runId === message.runId) writingOf(botId).value = null;
    if (message.editedAt === null || message.editedAt === undefined) {
      change(botId, { unread: (talk.value.get(botId)?.unread ?? 0) + 1 });
    }
  } else if (message.userId !== me.value?.userId) {
    // It is told again as it leaves the queue: the daemon knows how many there are.
    loadSoon();
  }
  if (last !== null && last.at > message.createdAt) return;
  change(botId, {
    last: {
      at: message.createdAt, role: message.role, userId: message.userId ?? null, text: preview(message.parts),
      conversationId: message.conversationId, state: message.state,
    },
  });
}

/** Keep these signals true from now on. */
export function startTalk() {
  socket.on("bots-status-update", ({ bots }) => {
    // The first time, and when a bot came or is shared now.
    if (bots.some((/** @type {{botId: string}} */ bot) => !talk.value.has(bot.botId))) loadSoon(talk.value.size === 0 ? 0 : RELOAD_MS);
  });
  socket.on("hello", ({ verdict }) => {
    // The snapshot that follows says what is being written now.
    if (verdict !== "exact") for (const one of writing.values()) one.value = null;
  });
  socket.on("gap", () => loadSoon());
  socket.on("chat-message", heard);
  socket.on("chat-delta", (delta) => {
    const one = writingOf(delta.botId);
    one.value = folded(one.value, delta);
  });
  socket.on("chat-status", ({ botId, runId, state }) => {
    const over = state === "finished" || state === "aborted" || state === "failed" || state === "interrupted";
    if (over && writingOf(botId).value?.runId === runId) writingOf(botId).value = null;
  });
  socket.on("conversation-update", ({ change: what }) => {
    if (what === "read" || what === "deleted") loadSoon();
  });
}
