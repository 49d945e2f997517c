// One bot: its chat, and everything else that is known of it.

import { bots } from "../house.js";
import { html } from "../lib.js";
import { ChatPage } from "./chat.js";

/** @param {{botId: string, tab: string}} props */
export function BotPage({ botId, tab }) {
  const bot = bots.value.get(botId);
  return html`<h1>${bot?.name ?? botId}</h1>${tab === "chat" && html`<${ChatPage} botId=${botId} conversationId=${null} />`}`;
}
