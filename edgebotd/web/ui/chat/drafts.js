// What was typed and not sent, for each conversation.

import { owner } from "./owner.js";
import { keys, read, write } from "./stored.js";

const PREFIX = "edgebotd.draft.";
const KEPT = 50;

/** @param {string} botId @param {string} conversationId */
const keyOf = (botId, conversationId) => `${PREFIX}${owner()}.${botId}.${conversationId}`;

/** @param {string} botId @param {string} conversationId @returns {string} */
export function draftOf(botId, conversationId) {
  return String(read(keyOf(botId, conversationId))?.text ?? "");
}

/** @param {string} botId @param {string} conversationId @param {string} text */
export function keepDraft(botId, conversationId, text) {
  write(keyOf(botId, conversationId), text.trim() ? { text, at: Date.now() } : null);
}

/** Forget the oldest ones, once a while. */
export function tidyDrafts() {
  const all = keys(PREFIX).map((key) => ({ key, at: Number(read(key)?.at ?? 0) }));
  for (const { key } of all.sort((one, other) => other.at - one.at).slice(KEPT)) write(key, null);
}
