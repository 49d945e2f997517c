// Where a conversation is: on the page of all chats, or on its bot's own page.

import { path, query } from "../api.js";
import { signal } from "../lib.js";
import { place, route, search } from "../router.js";

export const NEW = "new";

/** Whether the chat stands on a bot's own page. */
export const embedded = () => route.value.startsWith("/bots/");

/** @param {string | null} botId @param {string | null} [conversationId] @param {string | null} [messageId] */
export function chatPath(botId, conversationId = null, messageId = null) {
  if (botId === null) return "/chat";
  if (embedded()) {
    const page = route.value.split("/").length > 3 ? path`/bots/${botId}/chat` : path`/bots/${botId}`;
    return page + query({ c: conversationId, m: messageId });
  }
  if (conversationId === null) return path`/chat/${botId}`;
  return path`/chat/${botId}/${conversationId}` + query({ m: messageId });
}

/** The conversation that the address names on a bot's own page. */
export const embeddedConversation = () => search.value.get("c");

/** Grows when somebody wants to the message again that the address leads to already. */
export const sought = signal(0);

/** @param {string} to where a link leads that was clicked */
export function seek(to) {
  if (to === place.value) sought.value += 1;
}

/** The message that the address leads to. */
export const wantedMessage = () => search.value.get("m");
