// What is found in all that was said.

import { call, query } from "../api.js";
import { bots } from "../house.js";
import { html, useEffect, useState } from "../lib.js";
import { Failed, Loading, useLoaded } from "../parts/loaded.js";
import { sayError } from "../parts/toast.js";
import { t } from "../strings.js";
import { full } from "../time.js";
import { when } from "./conversations.js";
import { chatPath, seek } from "./paths.js";

const TYPING_MS = 250;
const PAGE = 20;

/** @param {import("./types.js").Row} row @param {string} text */
export function matchesTitle(row, text) {
  const wanted = text.trim().toLocaleLowerCase();
  return wanted === "" || (row.conversation.title ?? "").toLocaleLowerCase().includes(wanted);
}

/** A text with its matches marked. @param {{text: string, ranges: [number, number][]}} props */
export function Marked({ text, ranges }) {
  const pieces = [];
  let at = 0;
  for (const [start, length] of ranges) {
    if (start < at) continue;
    pieces.push(text.slice(at, start), html`<mark>${text.slice(start, start + length)}</mark>`);
    at = start + length;
  }
  return html`${pieces}${text.slice(at)}`;
}

/** @param {{hit: import("./types.js").Hit, tellBot: boolean}} props */
function HitLine({ hit, tellBot }) {
  const { message } = hit;
  const who = message.role === "user" ? (message.userId ?? message.source) : (bots.value.get(message.botId)?.name ?? message.botId);
  const to = chatPath(message.botId, message.conversationId, message.id);
  return html`<li><a class="conversation hit" data-row href=${to} onClick=${() => seek(to)}>
    <span class="conversation-title" dir="auto">${who}${tellBot && message.role === "user" ? ` → ${bots.value.get(message.botId)?.name ?? message.botId}` : ""}</span>
    <time title=${full(message.createdAt)} datetime=${new Date(message.createdAt).toISOString()}>${when(message.createdAt)}</time>
    <span class="conversation-last" dir="auto"><${Marked} text=${hit.snippet} ranges=${hit.ranges} /></span></a></li>`;
}

/** @param {{text: string, botId: string, conversationId: string | null}} props */
export function Found({ text, botId, conversationId }) {
  const [asked, setAsked] = useState("");
  const [scope, setScope] = useState(/** @type {"bot" | "all" | "here"} */ ("bot"));
  const [older, setOlder] = useState(/** @type {{of: unknown, hits: import("./types.js").Hit[], next: string | null}} */ ({ of: null, hits: [], next: null }));
  useEffect(() => {
    const timer = setTimeout(() => setAsked(text.trim().slice(0, 500)), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const where = { bot: scope === "all" ? null : botId, conversationId: scope === "here" ? conversationId : null };
  const ask = (/** @type {string | null} */ before, /** @type {AbortSignal | undefined} */ signal) =>
    call("GET", `/api/search${query({ q: asked, ...where, before, limit: PAGE })}`, undefined, { signal });
  const { value, error, reload } = useLoaded(async (signal) => (asked ? ask(null, signal) : null), [asked, scope, conversationId]);
  const more = older.of === value ? older : { of: value, hits: [], next: value?.next ?? null };
  const hits = [...(value?.items ?? []), ...more.hits];

  async function goOn() {
    try {
      const page = await ask(more.next, undefined);
      setOlder({ of: value, hits: [...more.hits, ...page.items], next: page.next ?? null });
    } catch (problem) {
      sayError(problem);
    }
  }
  return html`<section class="found-list" aria-label=${t("chat.found")}>
    <label class="scope"><span class="muted">${t("chat.searchIn")}</span><select class="input" value=${scope} onChange=${(/** @type {Event} */ event) => setScope(/** @type {any} */ (/** @type {HTMLSelectElement} */ (event.currentTarget).value))}>
      <option value="bot">${t("chat.scope.bot")}</option>
      ${conversationId && html`<option value="here">${t("chat.scope.here")}</option>`}
      <option value="all">${t("chat.scope.all")}</option></select></label>
    ${error ? html`<${Failed} error=${error} retry=${reload} />` : asked && !value && html`<${Loading} rows=${3} />`}
    ${value && hits.length === 0 && html`<p class="muted list-empty" role="status">${t("chat.nothingFound")}</p>`}
    <ul>${hits.map((/** @type {import("./types.js").Hit} */ hit) => html`<${HitLine} key=${hit.message.id} hit=${hit} tellBot=${scope === "all"} />`)}</ul>
    ${more.next && html`<button class="button" onClick=${goOn}>${t("chat.moreFound")}</button>`}
  </section>`;
}
