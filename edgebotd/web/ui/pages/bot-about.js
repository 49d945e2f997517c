// What is known of a bot besides its chat, and what may be changed of it.

import { call, path, Problem, query } from "../api.js";
import { madeHere } from "../docker.js";
import { may, me, needsPerson } from "../house.js";
import { html, useEffect, useRef, useState } from "../lib.js";
import { confirm, Dialog } from "../parts/dialog.js";
import { Failed, Loading, useLoaded } from "../parts/loaded.js";
import { Mark } from "../parts/state.js";
import { say, sayError } from "../parts/toast.js";
import { navigate } from "../router.js";
import { t } from "../strings.js";
import { full, size } from "../time.js";
import { Field } from "./connect.js";
import { RemoveDialog } from "./container-admin.js";
import { Mending, RetryButton } from "./needs.js";

/**
 * @typedef {import("../house.js").Bot} Bot
 * @typedef {{origin: "file" | "store", url: string | null, agentId: string | null, model: string | null, version: string | null,
 *   features: string[], missing: string[], attachments: {maxBytes: number, maxImageBytes: number, mediaTypes: string[] | null} | null,
 *   extra: Record<string, string>}} Detail `GET /api/bots/{id}`
 */

/** Which features have words here; others are shown as the peer calls them. */
const FEATURES = /** @type {const} */ (["chat", "abort", "interrupt", "history", "sessions", "attachments", "tools", "context"]);

/** @param {string} name */
function feature(name) {
  const known = FEATURES.find((one) => one === name);
  return known ? t(`feature.${known}`) : name;
}

/** What one looks for first comes first. @param {string[]} features */
const inOrder = (features) => {
  const place = (/** @type {string} */ one) => /** @type {readonly string[]} */ (FEATURES).indexOf(one) >>> 0; // unknown ones last
  return features.toSorted((one, other) => place(one) - place(other));
};

/** @param {{term: string, children: any}} props */
const Row = ({ term, children }) => html`<div class="fact"><dt>${term}</dt><dd>${children}</dd></div>`;

/** @param {{bot: Bot, detail: Detail}} props */
function Facts({ bot, detail }) {
  const { attachments } = detail;
  return html`<dl class="facts">
    <${Row} term=${t("bot.state")}>${t(`state.${bot.state}`)} <span class="muted">${t("bot.since", { time: full(bot.sinceAt) })} · ${t("bot.says", { source: bot.source === "connection" ? t("bot.source.connection") : bot.source })}</span><//>
    <${Row} term=${t("bot.id")}><code>${bot.botId}</code><//>
    <${Row} term=${t("bot.kind")}>${bot.kind}${detail.version && html` <span class="muted">${detail.version}</span>`}<//>
    ${detail.url && html`<${Row} term=${t("bot.url")}><code>${detail.url}</code><//>`}
    ${detail.agentId && html`<${Row} term=${t("bot.agent")}><code>${detail.agentId}</code><//>`}
    ${detail.model && html`<${Row} term=${t("bot.model")}><code>${detail.model}</code><//>`}
    <${Row} term=${t("bot.features")}>${detail.features.length ? inOrder(detail.features).map(feature).join(", ") : html`<span class="muted">${t("bot.unknown")}</span>`}<//>
    <${Row} term=${t("bot.files")}>${
      attachments === null
        ? html`<span class="muted">${t(detail.version ? "bot.files.none" : "bot.unknown")}</span>`
        : html`${t("bot.files.most", { size: size(attachments.maxBytes), image: size(attachments.maxImageBytes) })}${
            attachments.mediaTypes && html`<br /><span class="muted">${attachments.mediaTypes.join(", ")}</span>`}`
    }<//>
    ${detail.missing.length > 0 && html`<${Row} term=${t("bot.missing")}><ul>${detail.missing.map((one) => html`<li key=${one}>${one}</li>`)}</ul><//>`}
    <${Row} term=${t("bot.origin")}>${t(`bot.origin.${detail.origin}`)}<//>
  </dl>`;
}

/** @param {{bot: Bot, detail: Detail, onClose: () => void}} props */
function Edit({ bot, detail, onClose }) {
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);
  /** @param {SubmitEvent} event */
  async function save(event) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    // What is left empty stays as it is.
    const typed = Object.fromEntries([...form].map(([key, value]) => [key, String(value).trim()]).filter(([, value]) => value));
    setBusy(true);
    setTrouble("");
    try {
      const answer = await call("PATCH", path`/api/bots/${bot.botId}`, typed);
      say(answer.message, { bad: !answer.ok });
      onClose();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setTrouble(error.message);
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${t("bot.edit.title", { name: bot.name })} onClose=${onClose}><form class="stack" onSubmit=${save}>
    <${Field} label=${t("connect.name")} name="name" maxlength="100" value=${bot.name} required />
    ${detail.url !== null && html`<${Field} label=${t("connect.url")} name="url" type="url" dir="ltr" spellcheck=${false} value=${detail.url} required />
      <${Field} label=${t("bot.edit.token")} hint=${t("bot.edit.token.hint")} name="token" type="password" />`}
    ${detail.model !== null && html`<${Field} label=${t("connect.model")} name="model" spellcheck=${false} value=${detail.model} required />`}
    ${detail.agentId !== null && html`<${Field} label=${t("connect.agent")} name="agentId" spellcheck=${false} value=${detail.agentId} required />`}
    <p role="alert" class=${trouble ? "trouble" : "visually-hidden"}>${trouble}</p>
    <div class="actions"><button type="button" class="button" onClick=${onClose}>${t("dialog.cancel")}</button>
      <button class="button primary" disabled=${busy}>${busy ? t("connect.trying") : t("bot.edit.save")}</button></div>
  </form><//>`;
}

/** @param {Bot} bot @param {() => void} whole what to do where a container of its own goes with it */
async function remove(bot, whole) {
  const { name, botId } = bot;
  if (!(await confirm({ title: t("bot.remove.title", { name }), text: t("bot.remove.text", { id: botId }), action: t("bot.remove") }))) return;
  try {
    await call("DELETE", path`/api/bots/${botId}`);
    navigate("/");
    say(t("bot.removed", { name }));
  } catch (error) {
    if (error instanceof Problem && error.code === "bot_has_container") whole();
    else sayError(error);
  }
}

/** @param {{bot: Bot}} props */
export function About({ bot }) {
  const { botId, state, reason } = bot;
  const { value: detail, error, reload } = useLoaded((signal) => call("GET", path`/api/bots/${botId}`, undefined, { signal }), [botId, state, reason, bot.name]);
  const [editing, edit] = useState(false);
  const [whole, takeWhole] = useState(false);
  const page = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => page.current?.scrollTo(0, 0), [botId]);
  if (detail === null) return error ? html`<${Failed} error=${error} retry=${reload} />` : html`<${Loading} rows=${6} />`;
  const changeable = me.value?.admin && detail.origin === "store";
  return html`<div class="about" ref=${page}>
    ${bot.detail && html`<div class=${`notice ${needsPerson(bot) ? "bad" : "warn"}`}><${Mark} state=${bot.state} /><div class="need-words"><p>${bot.detail}</p>
      ${needsPerson(bot) && may(botId, "operate") && html`<${Mending} bot=${bot} />`}</div></div>`}
    <${Facts} bot=${bot} detail=${detail} />
    <div class="actions start">
      ${may(botId, "operate") && state !== "connected" && html`<${RetryButton} bot=${bot} />`}
      ${changeable && html`<button type="button" class="button" onClick=${() => edit(true)}>${t("bot.edit")}</button>
        <button type="button" class="button danger" onClick=${() => (madeHere(botId) ? takeWhole(true) : remove(bot, () => takeWhole(true)))}>${t("bot.remove")}</button>`}
      ${me.value?.admin && html`<a class="link" href=${`/admin/audit${query({ bot: botId })}`}>${t("bot.audit")}</a>`}</div>
    ${editing && html`<${Edit} bot=${bot} detail=${detail} onClose=${() => (edit(false), reload())} />`}
    ${whole && html`<${RemoveDialog} bot=${bot} onClose=${() => takeWhole(false)} />`}
  </div>`;
}
