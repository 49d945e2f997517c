// Gateways that run here already: what looks like one and why, and adopting it, which changes nothing about how it runs.

import { call, Problem } from "../api.js";
import { bots } from "../house.js";
import { html, useState } from "../lib.js";
import { Dialog } from "../parts/dialog.js";
import { Icon } from "../parts/icon.js";
import { Empty, Failed, Loading } from "../parts/loaded.js";
import { navigate, search } from "../router.js";
import { t } from "../strings.js";
import { idOf, placeOf } from "../work.js";
import { Head, useFresh } from "./admin/live.js";
import { Field } from "./connect.js";
import { ID } from "./new-bot-check.js";
import { WorkMark } from "./work-parts.js";

/**
 * @typedef {{kind: "container" | "host", container: string | null, suggestedId: string, botId: string | null, image: string | null,
 *   state: string | null, why: string[], url: string | null, reachable: boolean, obstacle: string | null, notes: string[],
 *   violations: string[], config: string[]}} Candidate
 * @typedef {{items: Candidate[], detail: string | null}} Answer `GET /api/adoptable`
 */

const SECONDS = 10;

/** @param {Candidate} one */
const nameOf = (one) => one.container ?? t("adopt.host");

/** @param {Candidate} one */
const ready = (one) => one.botId === null && one.obstacle === null && one.url !== null;

/** @param {{one: Candidate, onClose: () => void}} props */
function AdoptDialog({ one, onClose }) {
  const [id, setId] = useState(one.suggestedId);
  const [given, setGiven] = useState(one.config.length === 0 && one.kind === "host");
  const [refused, setRefused] = useState("");
  const [busy, setBusy] = useState(false);
  const wrong = !ID.test(id) ? t("make.bad.id") : bots.value.has(id) ? t("make.bad.taken", { id }) : "";

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const typed = (/** @type {string} */ key) => String(form.get(key) ?? "").trim() || undefined;
    if (wrong) return;
    setBusy(true);
    try {
      const token = given ? { token: typed("token") } : { readToken: true };
      const begun = await call("POST", "/api/bots/adopt", { id, name: typed("name"), container: one.container ?? undefined, ...token });
      navigate(placeOf(idOf(begun)));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setRefused(error.message);
      setBusy(false);
    }
  }

  return html`<${Dialog} title=${t("adopt.title.one", { name: nameOf(one) })} onClose=${onClose}>
    <form class="stack" onSubmit=${submit}>
      <p>${t("adopt.promise")}</p>
      <${Field} label=${t("connect.name")} hint=${t("adopt.name.hint")} name="name" maxlength="100" placeholder=${id} autofocus />
      <${Field} label=${t("connect.id")} hint=${wrong || t("connect.id.hint")} name="id" required maxlength="32" autocapitalize="none" spellcheck=${false}
        aria-invalid=${wrong ? "true" : null} value=${id} onInput=${(/** @type {any} */ event) => setId(event.target.value)} />
      <fieldset class="stack"><legend>${t("adopt.token")}</legend>
        <label class="choice"><input type="radio" name="whence" checked=${!given} onChange=${() => setGiven(false)} /><span>${t("adopt.token.read")}</span></label>
        ${!given && one.config.length > 0 && html`<p class="small muted work-indent">${t("adopt.token.where")} <code>${one.config[0]}</code></p>`}
        <label class="choice"><input type="radio" name="whence" checked=${given} onChange=${() => setGiven(true)} /><span>${t("adopt.token.give")}</span></label>
        ${given && html`<${Field} label=${t("connect.token")} hint=${t("connect.token.hint")} name="token" type="password" required maxlength="4096" />`}
      </fieldset>
      <p role="alert" class=${refused ? "trouble" : "visually-hidden"}>${refused}</p>
      <div class="actions"><button type="button" class="button" onClick=${onClose}>${t("dialog.cancel")}</button>
        <button class="button primary" disabled=${busy || wrong !== ""}>${t(busy ? "make.asking" : "adopt.go")}</button></div>
    </form>
  <//>`;
}

/** What can be said of how it is reached. @param {{one: Candidate}} props */
function Reached({ one }) {
  if (one.url === null) return null;
  return html`<p class="small"><code>${one.url}</code> <span class=${one.reachable ? "ok" : "muted"}>${t(one.reachable ? "adopt.answers" : "adopt.silent")}</span></p>`;
}

/** @param {{one: Candidate, onAdopt: () => void}} props */
function Row({ one, onAdopt }) {
  const state = one.botId !== null ? "done" : one.obstacle !== null ? "skipped" : one.reachable ? "succeeded" : "waiting";
  return html`<li class="work-candidate" data-row tabindex="-1">
    <${WorkMark} state=${state} />
    <div class="work-candidate-words"><h2 class="work-wrap">${nameOf(one)}</h2>
      <p class="small muted">${[one.image, one.state].filter(Boolean).join(" · ")}</p>
      <p>${t("adopt.why", { why: one.why.join(", ") })}</p>
      <${Reached} one=${one} />
      ${one.botId !== null && html`<p>${t("adopt.already")} <a href=${`/bots/${one.botId}`}>${bots.value.get(one.botId)?.name ?? one.botId}</a></p>`}
      ${one.obstacle !== null && html`<p class="work-obstacle"><strong>${t("adopt.first")}</strong> ${one.obstacle}</p>`}
      ${one.notes.map((note) => html`<p key=${note} class="small">${note}</p>`)}
      ${one.violations.length > 0 && html`<details><summary class="small muted">${t("adopt.violations", { count: one.violations.length })}</summary>
        <ul class="work-list small">${one.violations.map((text) => html`<li key=${text}>${text}</li>`)}</ul></details>`}
    </div>
    ${ready(one) && html`<button type="button" class=${one.reachable ? "button primary" : "button"} onClick=${onAdopt}>${t("adopt.go")}<span class="visually-hidden"> ${nameOf(one)}</span></button>`}
  </li>`;
}

/** @param {{answer: Answer, reload: () => void}} props */
function Found({ answer, reload }) {
  const wanted = search.value.get("container");
  const [asked, ask] = useState(/** @type {Candidate | null} */ (
    wanted === null ? null : (answer.items.find((one) => ready(one) && (one.container ?? "") === wanted) ?? null)));
  return html`
    ${answer.detail && html`<div class="notice" role="status"><p>${t("adopt.noEngine")} ${answer.detail}</p></div>`}
    ${answer.items.length === 0 && !answer.detail && html`<${Empty} text=${t("adopt.none")}>
      <button type="button" class="button" onClick=${reload}>${t("adopt.again")}</button><a class="button" href="/?connect">${t("connect.title")}</a><//>`}
    ${answer.items.length > 0 && html`<ul class="work-candidates">${answer.items.map((one) => html`<${Row} key=${one.container ?? ""} one=${one} onAdopt=${() => ask(one)} />`)}</ul>`}
    ${asked !== null && html`<${AdoptDialog} one=${asked} onClose=${() => ask(null)} />`}`;
}

export function AdoptPage() {
  const { value, error, reload } = useFresh((abort) => call("GET", "/api/adoptable", undefined, { signal: abort }), [], SECONDS);
  return html`<div class="work">
    <${Head} title=${t("adopt.title")} text=${t("adopt.text")} back=${{ to: "/?add", name: t("add.title") }}>
      ${value !== null && html`<button type="button" class="button" onClick=${reload}><${Icon} name="retry" />${t("adopt.again")}</button>`}<//>
    ${value === null ? error ? html`<${Failed} error=${error} retry=${reload} />` : html`<${Loading} rows=${5} />` : html`<${Found} answer=${value} reload=${reload} />`}
  </div>`;
}
