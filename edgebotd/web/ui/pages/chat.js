// Conversations with a bot: the list, the messages, what is being written.

import { html } from "../lib.js";

/** @param {{botId: string | null, conversationId: string | null}} props */
export function ChatPage({ botId, conversationId }) {
  return html`<p>${botId} ${conversationId}</p>`;
}
