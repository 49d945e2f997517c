// The conversations of a bot, and what is found in them.

import { botList, bots, may } from "../house.js";
import { html, useEffect, useState } from "../lib.js";
import { Icon } from "../parts/icon.js";
import { leaveFilter } from "../parts/keys.js";
import { Failed, Loading } from "../parts/loaded.js";
import { State } from "../parts/state.js";
import { ordered } from "../pages/order.js";
import { plain } from "../plain.js";
import { favourites } from "../preferences.js";
import { t } from "../strings.js";
import { talk } from "../talk.js";
import { age, full } from "../time.js";
import { changedAt, conversationsOf, titleOf, UNREAD_CEILING, when } from "./conversations.js";
import { chatPath, embedded, NEW } from "./paths.js";
import { Found, matchesTitle } from "./search.js";

/** More than a line has room for, and no more of a long text than that. */
const LOOKED_AT = 240;

/** @param {import("./types.js").Row} row */
function preview(row) {
  const part = row.last?.parts.findLast((one) => one.type === "text" || one.type === "error" || one.type === "attachment");
  if (part?.type === "text") return plain(part.text.slice(0, LOOKED_AT));
  return part?.type === "error" ? part.message : part?.type === "attachment" ? part.name : "";
}

/** @param {{count: number}} props */
export function Unread({ count }) {
  if (count === 0) return null;
  const words = count >= UNREAD_CEILING ? `${UNREAD_CEILING - 1}+` : String(count);
  return html`<span class="unread"><span aria-hidden="true">${words}</span><span class="visually-hidden">${t("chat.unread", { count: words })}</span></span>`;
}

/** @param {{row: import("./types.js").Row, here: boolean}} props */
function Line({ row, here }) {
  const { conversation } = row;
  const at = changedAt(row);
  return html`<li><a class="conversation" data-row href=${chatPath(conversation.botId, conversation.id)} aria-current=${here ? "page" : null}>
    <span class="conversation-title" dir="auto">${titleOf(row) || t("chat.untitled")}</span>
    <time title=${full(at)} datetime=${new Date(at).toISOString()}>${when(at)}</time>
    <span class="conversation-last" dir="auto">${conversation.source !== "edgebotd" && html`<span class="badge">${conversation.source}</span> `}${preview(row)}</span>
    <${Unread} count=${here ? 0 : row.unread} />
  </a></li>`;
}

/** @param {{botId: string, conversationId: string | null}} props */
export function List({ botId, conversationId }) {
  const conversations = conversationsOf(botId);
  const [text, setText] = useState("");
  const [end, setEnd] = useState(/** @type {Element | null} */ (null));
  const state = conversations.state.value;
  const rows = conversations.sorted.filter((row) => matchesTitle(row, text));
  const more = conversations.more.value;
  const name = bots.value.get(botId)?.name ?? botId;

  useEffect(() => {
    if (end === null) return;
    const around = { root: end.closest(".list-rows"), rootMargin: "400px" };
    const observer = new IntersectionObserver(([entry]) => entry.isIntersecting && conversations.loadMore(), around);
    observer.observe(end);
    return () => observer.disconnect();
  }, [end, more]);

  return html`<nav class="list" aria-label=${t("chat.conversations")}>
    <div class="list-head">
      ${botList.value.length > 1 && !embedded() && html`<a class="icon-button" href="/chat" aria-label=${t("chat.allBots")} title=${t("chat.allBots")}><${Icon} name="back" /></a>`}
      ${embedded() ? html`<h2>${t("chat.conversations")}</h2>` : html`<h2 dir="auto" title=${name}>${name}</h2>`}
      ${may(botId, "chat") && html`<a class="button" href=${chatPath(botId, NEW)}><${Icon} name="add" />${t("chat.newShort")}</a>`}
    </div>
    <div class="list-search"><${Icon} name="search" /><input class="input" type="search" data-filter value=${text} aria-label=${t("chat.search")} placeholder=${t("chat.search")} dir="auto"
      onInput=${(/** @type {Event} */ event) => setText(/** @type {HTMLInputElement} */ (event.currentTarget).value)}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => leaveFilter(event, () => setText(""))} /></div>
    <div class="list-rows">
      ${state === "loading" && html`<${Loading} rows=${5} />`}
      ${state === "failed" && conversations.error.value && html`<${Failed} error=${conversations.error.value} retry=${() => conversations.load()} />`}
      <ul>${rows.map((row) => html`<${Line} key=${row.conversation.id} row=${row} here=${row.conversation.id === conversationId} />`)}</ul>
      ${more && html`<div ref=${setEnd} class="list-end"></div>`}
      ${text.trim() && html`<${Found} key=${botId} text=${text} botId=${botId} conversationId=${conversationId === NEW ? null : conversationId} />`}
      ${state === "ready" && rows.length === 0 && !text.trim() && html`<p class="muted list-empty">${t("chat.noConversations")}</p>`}
    </div>
  </nav>`;
}

/** What was last said with a bot, or how it is where that matters more. @param {{bot: import("../house.js").Bot}} props */
function Bot({ bot }) {
  const { unread = 0, last = null } = talk.value.get(bot.botId) ?? {};
  return html`<li><a class="conversation" data-row href=${chatPath(bot.botId)}>
    <span class="conversation-title" dir="auto">${bot.name}</span>
    ${last && html`<time title=${full(last.at)} datetime=${new Date(last.at).toISOString()}>${age(last.at)}</time>`}
    ${bot.state !== "connected"
      ? html`<span class="conversation-last"><${State} bot=${bot} /></span>`
      : html`<span class="conversation-last" dir="auto">${last ? plain(last.text) || t("dash.noText") : t("dash.nothingSaid")}</span>`}
    <${Unread} count=${unread} /></a></li>`;
}

/** All bots, where there is more than one to talk to: the last used first. */
export function BotChoice() {
  const usedAt = (/** @type {string} */ id) => talk.value.get(id)?.last?.at ?? 0;
  const order = ordered(botList.value, "used", { favourites: favourites.value, usedAt });
  return html`<nav class="list bots" aria-label=${t("chat.allBots")}>
    <div class="list-head"><h2>${t("chat.allBots")}</h2></div>
    <div class="list-rows"><ul>${order.map((bot) => html`<${Bot} key=${bot.botId} bot=${bot} />`)}</ul></div>
  </nav>`;
}
