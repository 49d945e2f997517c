// Taking logins over from another program's store: what is there, what it means, and only then the import.

import { call } from "../api.js";
import { html, useState } from "../lib.js";
import { Dialog } from "../parts/dialog.js";
import { Mark } from "../parts/state.js";
import { Field } from "../pages/connect.js";
import { t } from "../strings.js";
import { moment } from "../time.js";
import { FormDialog, typed } from "./forms.js";

/**
 * @typedef {{profileId: string, provider: string, type: "oauth" | "token" | "api_key", label: string | null, file: string | null,
 *   expiresAt: number | null, fingerprint: string | null, refreshable: boolean, outcome: "found" | "added" | "refused", problem: string | null}} Found
 * @typedef {{items: Found[], meaning: string}} Answer `POST /api/profiles/import`
 */

const KINDS = /** @type {const} */ (["openclaw", "claude", "codex", "gemini"]);
const PLACES = { openclaw: "~/.openclaw", claude: "~/.claude/.credentials.json", codex: "~/.codex/auth.json", gemini: "~/.gemini/oauth_creds.json" };

/** @typedef {{kind: typeof KINDS[number], path?: string, content?: string}} Store */

/** @param {{onClose: () => void, onFound: (store: Store, answer: Answer) => void}} props */
function Look({ onClose, onFound }) {
  const [kind, setKind] = useState(/** @type {typeof KINDS[number]} */ ("openclaw"));
  const [pasted, setPasted] = useState(false);
  /** @param {FormData} form */
  async function save(form) {
    const store = pasted ? { kind, content: typed(form, "content") } : { kind, path: typed(form, "path") };
    onFound(store, await call("POST", "/api/profiles/import", store));
  }
  return html`<${FormDialog} title=${t("acct.import.title")} go=${t("acct.import.look")} onClose=${onClose} save=${save}>
    <p class="muted">${t("acct.import.text")}</p>
    <label class="field"><span>${t("acct.import.from")}</span><select class="input" value=${kind} onChange=${(/** @type {any} */ event) => setKind(event.target.value)}>
      ${KINDS.map((one) => html`<option key=${one} value=${one}>${t(`acct.import.kind.${one}`)}</option>`)}</select></label>
    <fieldset class="segments"><legend>${t("acct.import.where")}</legend>${[false, true].map((one) => html`
      <label key=${one}><input type="radio" name="how" checked=${pasted === one} onChange=${() => setPasted(one)} /><span>${t(one ? "acct.import.pasted" : "acct.import.path")}</span></label>`)}</fieldset>
    ${pasted
      ? html`<label class="field"><span>${t("acct.import.content")}</span><textarea class="input acct-hidden-text" name="content" rows="4" required autocomplete="off" spellcheck=${false} dir="ltr"></textarea>
          <small class="muted">${t("acct.import.content.hint")}</small></label>`
      : html`<${Field} key=${kind} label=${t("acct.import.place")} name="path" required defaultValue=${PLACES[kind]} spellcheck=${false} dir="ltr" />`}
  <//>`;
}

/** @param {{one: Found, pick: boolean}} props */
function Row({ one, pick }) {
  const bad = one.outcome === "refused";
  const words = [t(`acct.type.${one.type}`), one.expiresAt && t("acct.import.ends", { time: moment(one.expiresAt) }), one.type === "oauth" && !one.refreshable && !bad && t("acct.import.notRefreshed"),
    one.problem].filter(Boolean).join(" · ");
  const text = html`<span><span class="acct-id">${one.profileId}</span>${one.label && html` <span class="muted" dir="auto">${one.label}</span>`}<br /><span class="small muted">${words}</span></span>`;
  if (pick && !bad) return html`<label class="choice"><input type="checkbox" name="only" value=${one.profileId} defaultChecked />${text}</label>`;
  return html`<div class="choice"><${Mark} state=${one.outcome === "added" ? "connected" : "stopped"} />${text}</div>`;
}

/** @param {{store: Store, answer: Answer, onClose: () => void, onTaken: (answer: Answer) => void}} props */
function Take({ store, answer, onClose, onTaken }) {
  const usable = answer.items.filter((one) => one.outcome === "found");
  /** @param {FormData} form */
  const save = async (form) => onTaken(await call("POST", "/api/profiles/import", { ...store, owner: form.get("owner"), only: form.getAll("only") }));
  if (usable.length === 0) {
    return html`<${Dialog} title=${t("acct.import.title")} onClose=${onClose}><p>${t(answer.items.length ? "acct.import.allRefused" : "acct.import.nothing")}</p>
      ${answer.items.map((one) => html`<${Row} key=${one.profileId} one=${one} pick=${false} />`)}
      <div class="actions"><button type="button" class="button" onClick=${onClose}>${t("dialog.close")}</button></div><//>`;
  }
  return html`<${FormDialog} title=${t("acct.import.title")} go=${t("acct.import.go")} onClose=${onClose} save=${save}>
    <fieldset><legend>${t("acct.import.found", { count: answer.items.length })}</legend>${answer.items.map((one) => html`<${Row} key=${one.profileId} one=${one} pick />`)}</fieldset>
    <fieldset class="acct-owners"><legend>${t("acct.import.owner")}</legend>
      ${/** @type {const} */ (["edgebotd", "external"]).map((owner) => (owner === "edgebotd" || store.path) && html`
        <label key=${owner} class="choice"><input type="radio" name="owner" value=${owner} required /><span>${t(`acct.import.owner.${owner}`)}<br /><span class="small muted">${t(`acct.import.means.${owner}`)}</span></span></label>`)}</fieldset>
  <//>`;
}

/** @param {{onClose: () => void, onDone: () => void}} props `onDone`: something came */
export function ImportDialog({ onClose, onDone }) {
  const [seen, setSeen] = useState(/** @type {{store: Store, answer: Answer} | null} */ (null));
  const [taken, setTaken] = useState(/** @type {Answer | null} */ (null));
  if (taken !== null) {
    return html`<${Dialog} title=${t("acct.import.done")} onClose=${onDone}><div role="status">${taken.items.map((one) => html`<${Row} key=${one.profileId} one=${one} pick=${false} />`)}</div>
      <p>${taken.meaning}</p><div class="actions"><button type="button" class="button primary" onClick=${onDone}>${t("dialog.close")}</button></div><//>`;
  }
  if (seen !== null) return html`<${Take} store=${seen.store} answer=${seen.answer} onClose=${onClose} onTaken=${setTaken} />`;
  return html`<${Look} onClose=${onClose} onFound=${(/** @type {Store} */ store, /** @type {Answer} */ answer) => setSeen({ store, answer })} />`;
}
