// The first time: who is the administrator, a bot, then the chat.

import { call, path, Problem } from "../api.js";
import { NEW } from "../chat/paths.js";
import { canMake } from "../docker.js";
import { botList, known } from "../house.js";
import { html, useState } from "../lib.js";
import { useTitle } from "../parts/title.js";
import { sayError } from "../parts/toast.js";
import { t } from "../strings.js";
import { Connected, ConnectForm, Field } from "./connect.js";

const BUILT_IN = "echo";

/** @param {{step: number, title: string, children: any}} props */
function Screen({ step, title, children }) {
  useTitle(title);
  return html`<main class="first" id="main" tabindex="-1"><p class="muted small">edgebotd · ${t("first.step", { step, steps: 3 })}</p><h1>${title}</h1>${children}</main>`;
}

/** @param {{code: string, onSignedIn: () => void}} props */
export function MakeAdmin({ code, onSignedIn }) {
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);
  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const userId = String(form.get("userId")).trim();
    setBusy(true);
    setTrouble("");
    try {
      await call("POST", "/api/setup", { code, userId, name: String(form.get("name")).trim() || userId, password: form.get("password") });
      onSignedIn();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setTrouble(error.message);
      setBusy(false);
    }
  }
  return html`<${Screen} step=${1} title=${t("first.admin.title")}><p>${t("first.admin.text")}</p>
    <form class="stack" onSubmit=${submit}>
      <${Field} label=${t("first.admin.id")} hint=${t("first.admin.id.hint")} name="userId" required pattern="[a-z0-9][a-z0-9\\-]{0,31}" autocomplete="username" autocapitalize="none" spellcheck=${false} autofocus />
      <${Field} label=${t("first.admin.name")} hint=${t("first.admin.name.hint")} name="name" maxlength="100" autocomplete="name" />
      <${Field} label=${t("signIn.password")} hint=${t("signIn.password.hint")} name="password" type="password" required minlength="10" autocomplete="new-password" />
      <p role="alert" class=${trouble ? "trouble" : "visually-hidden"}>${trouble}</p>
      <button class="button primary" disabled=${busy}>${t("first.next")}</button>
    </form><//>`;
}

/** Where one writes to a bot that nobody has written to. @param {string} botId */
const firstWords = (botId) => path`/chat/${botId}/${NEW}`;

/** @param {{onDone: (to: string) => void}} props */
export function FirstBot({ onDone }) {
  const [own, setOwn] = useState(false);
  const [answer, setAnswer] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  async function builtIn() {
    const there = botList.value.find((bot) => bot.kind === "echo");
    if (there) return onDone(firstWords(there.botId));
    setBusy(true);
    try {
      await call("POST", "/api/bots/connect", { kind: "echo", id: BUILT_IN, name: "Echo" });
      onDone(firstWords(BUILT_IN));
    } catch (error) {
      sayError(error);
      setBusy(false);
    }
  }
  if (answer !== null) {
    return html`<${Screen} step=${2} title=${t("first.bot.title")}>
      <${Connected} answer=${answer} onChat=${(/** @type {string} */ id) => onDone(firstWords(id))} onLater=${() => onDone("/")} /><//>`;
  }
  if (own) {
    return html`<${Screen} step=${2} title=${t("first.bot.title")}><${ConnectForm} onConnected=${setAnswer}>
      <button type="button" class="button" onClick=${() => setOwn(false)}>${t("first.back")}</button><//><//>`;
  }
  return html`<${Screen} step=${2} title=${t("first.bot.title")}><p>${t("first.bot.text")}</p>
    <div class="ways">
      <button type="button" class="way" onClick=${() => setOwn(true)}><strong>${t("first.bot.own")}</strong><span class="muted">${t("first.bot.own.text")}</span></button>
      ${canMake() && html`<button type="button" class="way" onClick=${() => onDone("/operations/new")}><strong>${t("first.bot.make")}</strong><span class="muted">${t("first.bot.make.text")}</span></button>`}
      <button type="button" class="way" disabled=${busy || !known.value} onClick=${builtIn}><strong>${t("first.bot.echo")}</strong><span class="muted">${t("first.bot.echo.text")}</span></button>
    </div>
    <p><button type="button" class="link" onClick=${() => onDone("/")}>${t("first.later")}</button></p><//>`;
}
