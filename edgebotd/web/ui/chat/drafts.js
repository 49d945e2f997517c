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

/** Files that wait with a draft: in this tab alone, as only it has them. @type {Map<string, File[]>} */
const files = new Map();

/** @param {string} botId @param {string} conversationId */
export const draftFilesOf = (botId, conversationId) => files.get(keyOf(botId, conversationId)) ?? [];

/** @param {string} botId @param {string} conversationId @param {File[]} chosen */
export function keepDraftFiles(botId, conversationId, chosen) {
  if (chosen.length > 0) files.set(keyOf(botId, conversationId), chosen);
  else files.delete(keyOf(botId, conversationId));
}

/** Whether what is stored under a key is this draft. @param {string | null} key @param {string} botId @param {string} conversationId */
export const isDraft = (key, botId, conversationId) => key === keyOf(botId, conversationId);

/** Forget the oldest ones, once a while. */
export function tidyDrafts() {
  const all = keys(PREFIX).map((key) => ({ key, at: Number(read(key)?.at ?? 0) }));
  for (const { key } of all.sort((one, other) => other.at - one.at).slice(KEPT)) write(key, null);
}
