// Logins by their secret: adding one, giving one another secret, and which bots use it.

import { call, path } from "../api.js";
import { html, useId, useState } from "../lib.js";
import { say } from "../parts/toast.js";
import { Field } from "../pages/connect.js";
import { nameOf } from "../profiles.js";
import { t } from "../strings.js";
import { BotPicks, FormDialog, typed } from "./forms.js";

/**
 * @typedef {import("../profiles.js").Profile} Profile
 * @typedef {import("../profiles.js").Provider} Provider
 */

const TYPES = /** @type {const} */ (["api_key", "token"]);
const NAMES = "[A-Za-z0-9][A-Za-z0-9._@+\\-]{0,63}";

/** The end of a day, as the browser's own field has it. @param {string | undefined} day */
const endOf = (day) => (day ? new Date(`${day}T23:59:59`).getTime() : null);

/** @param {{type: "api_key" | "token"}} props */
function Secret({ type }) {
  return html`<${Field} label=${t(`acct.add.secret.${type}`)} hint=${t("acct.add.secret.hint")} name="secret" type="password" required autocomplete="off" spellcheck=${false} dir="ltr" />
    ${type === "token" && html`<${Field} label=${t("acct.add.ends")} hint=${t("acct.add.ends.hint")} name="ends" type="date" />`}`;
}

/** @param {{providers: Provider[], onClose: () => void, onDone: () => void}} props */
export function AddDialog({ providers, onClose, onDone }) {
  const [type, setType] = useState(/** @type {typeof TYPES[number]} */ ("api_key"));
  const list = useId();
  /** @param {FormData} form */
  async function save(form) {
    const made = await call("POST", "/api/profiles", {
      provider: typed(form, "provider"), name: typed(form, "name"), type, secret: typed(form, "secret"), label: typed(form, "label"),
      expiresAt: type === "token" ? endOf(typed(form, "ends")) : null, bots: form.getAll("bot"),
    });
    onDone();
    say(t("acct.added", { name: nameOf(made) }));
  }
  return html`<${FormDialog} title=${t("acct.add.title")} go=${t("acct.add.go")} onClose=${onClose} save=${save}>
    <fieldset class="segments"><legend>${t("acct.add.type")}</legend>${TYPES.map((one) => html`
      <label key=${one}><input type="radio" name="type" value=${one} checked=${type === one} onChange=${() => setType(one)} /><span>${t(`acct.add.secret.${one}`)}</span></label>`)}</fieldset>
    <${Field} label=${t("acct.add.provider")} hint=${t("acct.add.provider.hint")} name="provider" list=${list} required autofocus pattern="[a-z0-9][a-z0-9\\-]{0,31}" autocapitalize="none" spellcheck=${false}
      defaultValue=${providers.length === 1 ? providers[0].id : null} />
    <datalist id=${list}>${providers.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}</option>`)}</datalist>
    <${Field} label=${t("acct.add.name")} hint=${t("acct.add.name.hint")} name="name" required pattern=${NAMES} defaultValue="default" autocapitalize="none" spellcheck=${false} />
    <${Secret} type=${type} />
    <${Field} label=${t("acct.label")} hint=${t("acct.label.hint")} name="label" maxlength="100" />
    <${BotPicks} chosen=${[]} />
  <//>`;
}

/** @param {{one: Profile, onClose: () => void, onDone: () => void}} props */
export function SecretDialog({ one, onClose, onDone }) {
  const type = one.type === "token" ? "token" : "api_key";
  /** @param {FormData} form */
  async function save(form) {
    await call("PUT", path`/api/profiles/${one.id}/secret`, { secret: typed(form, "secret"), expiresAt: type === "token" ? endOf(typed(form, "ends")) : null });
    onDone();
    say(t("acct.secret.done", { name: nameOf(one) }));
  }
  return html`<${FormDialog} title=${t("acct.secret.title", { name: nameOf(one) })} go=${t("acct.secret.go")} onClose=${onClose} save=${save}>
    <p class="muted">${t("acct.secret.text")}</p><${Secret} type=${type} /><//>`;
}

/** Its name for people, and who uses it. @param {{one: Profile, onClose: () => void, onDone: () => void}} props */
export function EditDialog({ one, onClose, onDone }) {
  // What a gateway has of its own is its bot's.
  const ours = one.owner !== "gateway";
  /** @param {FormData} form */
  async function save(form) {
    const label = typed(form, "label") ?? null;
    if (label !== one.label) await call("PATCH", path`/api/profiles/${one.id}`, { label });
    const chosen = form.getAll("bot").map(String).sort();
    if (ours && chosen.join() !== [...one.bots].sort().join()) await call("PUT", path`/api/profiles/${one.id}/bots`, { bots: chosen });
    onDone();
    say(t("acct.edited", { name: label ?? nameOf({ ...one, label: null }) }));
  }
  return html`<${FormDialog} title=${ours ? t("acct.edit.title", { name: nameOf(one) }) : t("acct.label")} go=${t("acct.edit.go")} onClose=${onClose} save=${save}>
    <${Field} label=${t("acct.label")} hint=${t("acct.label.hint")} name="label" maxlength="100" defaultValue=${one.label ?? ""} />
    ${ours && html`<${BotPicks} chosen=${one.bots} /><p class="muted small">${t("acct.edit.bots")}</p>`}<//>`;
}
