// Connecting a bot: what it needs to be told, and in words what came of it.

import { call, Problem } from "../api.js";
import { bots } from "../house.js";
import { html, useEffect, useState } from "../lib.js";
import { Command } from "../parts/copy.js";
import { Dialog } from "../parts/dialog.js";
import { Mark } from "../parts/state.js";
import { navigate } from "../router.js";
import { t } from "../strings.js";
import { retry } from "./needs.js";

/** @typedef {{ok: boolean, message: string, bot: {summary: import("../house.js").Bot, extra: Record<string, string>}}} Answer */

const AGAIN_MS = 5000;
const KINDS = /** @type {const} */ (["openclaw", "openai", "echo"]);
const URLS = { openclaw: "ws://127.0.0.1:18789", openai: "http://127.0.0.1:11434/v1" };

/** An id made of a name, as far as ids go. Pure. @param {string} name */
export function idOf(name) {
  const plain = name.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 32).replace(/-+$/, "");
}

/** @param {{label: string, hint?: string, [attribute: string]: any}} props */
export function Field({ label, hint, ...attributes }) {
  return html`<label class="field"><span>${label}</span><input class="input" dir="auto" autocomplete="off" ...${attributes} />
    ${hint && html`<small class="muted">${hint}</small>`}</label>`;
}

/** @param {{onConnected: (answer: Answer) => void, children?: any}} props `children` stand beside the button */
export function ConnectForm({ onConnected, children }) {
  const [kind, setKind] = useState(/** @type {typeof KINDS[number]} */ ("openclaw"));
  const [name, setName] = useState("");
  const [id, setId] = useState(/** @type {string | null} */ (null));
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const typed = (/** @type {string} */ key) => String(form.get(key) ?? "").trim() || undefined;
    setBusy(true);
    setTrouble("");
    try {
      onConnected(await call("POST", "/api/bots/connect", {
        kind, id: id ?? idOf(name), name: typed("name"), url: typed("url"), token: typed("token"), model: typed("model"),
        agentId: typed("agentId"),
      }));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setTrouble(error.message);
    } finally {
      setBusy(false);
    }
  }

  return html`<form class="stack" onSubmit=${submit}>
    <fieldset class="segments"><legend>${t("connect.kind")}</legend>${KINDS.map(
      (one) => html`<label key=${one}><input type="radio" name="kind" value=${one} checked=${kind === one} onChange=${() => setKind(one)} /><span>${t(`connect.kind.${one}`)}</span></label>`,
    )}</fieldset>
    <p class="muted">${t(`connect.about.${kind}`)}</p>
    <${Field} label=${t("connect.name")} name="name" required autofocus maxlength="100" value=${name} onInput=${(/** @type {any} */ event) => setName(event.target.value)} />
    <${Field} label=${t("connect.id")} hint=${t("connect.id.hint")} name="id" required pattern="[a-z0-9][a-z0-9\\-]{0,31}" autocapitalize="none" spellcheck=${false}
      value=${id ?? idOf(name)} onInput=${(/** @type {any} */ event) => setId(event.target.value)} />
    ${kind !== "echo" && html`<${Field} key="url" label=${t("connect.url")} name="url" type="url" required placeholder=${URLS[kind]} dir="ltr" spellcheck=${false} />
      <${Field} key="token" label=${t("connect.token")} hint=${t("connect.token.hint")} name="token" type="password" autocomplete="off" />`}
    ${kind === "openai" && html`<${Field} key="model" label=${t("connect.model")} name="model" required spellcheck=${false} />`}
    ${kind === "openclaw" && html`<${Field} key="agent" label=${t("connect.agent")} hint=${t("connect.agent.hint")} name="agentId" placeholder="main" spellcheck=${false} />`}
    <p role="alert" class=${trouble ? "trouble" : "visually-hidden"}>${trouble}</p>
    <div class="actions">${children}<button class="button primary" disabled=${busy}>${busy ? t("connect.trying") : t("connect.go")}</button></div>
  </form>`;
}

/** What came of it, kept true while it is looked at.
 *
 * @param {{answer: Answer, onChat: (botId: string) => void, onLater: () => void}} props
 */
export function Connected({ answer, onChat, onLater }) {
  const { botId } = answer.bot.summary;
  const bot = bots.value.get(botId) ?? answer.bot.summary;
  const ok = bot.state === "connected";
  const pairing = bot.reason === "needs_pairing";
  useEffect(() => {
    if (!pairing) return;
    // Whoever runs the command beside the gateway comes back here and finds it done.
    const timer = setInterval(() => retry(botId).catch(() => {}), AGAIN_MS);
    return () => clearInterval(timer);
  }, [pairing]);
  const words = ok ? (answer.ok ? answer.message : t("connect.now")) : (bot.detail ?? answer.message);
  const command = answer.bot.extra.command;
  return html`<div class="stack" role="status">
    <p class="verdict"><${Mark} state=${bot.state} /><span>${words}</span></p>
    ${!ok && command && html`<p>${t("needs.command")}</p><${Command} text=${command} />`}
    ${!ok && html`<p class="muted">${t(pairing ? "connect.waiting" : "connect.kept")}</p>`}
    <div class="actions"><button type="button" class="button" onClick=${onLater}>${t("dialog.close")}</button>
      ${!ok && html`<button type="button" class="button" onClick=${() => retry(botId).catch(() => {})}>${t("loading.retry")}</button>`}
      <button type="button" class="button primary" onClick=${() => onChat(botId)}>${t("connect.chat")}</button></div>
  </div>`;
}

/** @param {{onClose: () => void}} props */
export function ConnectDialog({ onClose }) {
  const [answer, setAnswer] = useState(/** @type {Answer | null} */ (null));
  return html`<${Dialog} title=${t("connect.title")} onClose=${onClose}>
    ${answer === null
      ? html`<${ConnectForm} onConnected=${setAnswer}><button type="button" class="button" onClick=${onClose}>${t("dialog.cancel")}</button><//>`
      : html`<${Connected} answer=${answer} onChat=${(/** @type {string} */ id) => navigate(`/chat/${id}`)} onLater=${onClose} />`}
  <//>`;
}
