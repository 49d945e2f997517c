// Logging in at a provider: in a browser whose last address is pasted where it does not come back by itself, or with a
// short code.

import { call, path, Problem } from "../api.js";
import { html, useEffect, useState } from "../lib.js";
import { Command } from "../parts/copy.js";
import { Dialog } from "../parts/dialog.js";
import { Icon } from "../parts/icon.js";
import { say } from "../parts/toast.js";
import { Field } from "../pages/connect.js";
import { t } from "../strings.js";
import { now, span } from "../time.js";
import { FormDialog, typed } from "./forms.js";

/**
 * @typedef {import("../profiles.js").Profile} Profile
 * @typedef {import("../profiles.js").Provider} Provider
 * @typedef {{id: string, profileId: string, method: "browser" | "device", state: "waiting" | "done" | "failed", url: string | null,
 *   userCode: string | null, landsHere: boolean, expiresAt: number, reason: string | null}} Login `POST /api/profiles/login`
 */

const AGAIN_MS = 2000;

/** @param {{providers: Provider[], one: Profile | null, onClose: () => void, onBegun: (login: Login) => void}} props */
function Begin({ providers, one, onClose, onBegun }) {
  const able = providers.filter(({ methods, id }) => methods.length > 0 && (one === null || id === one.provider));
  const [chosen, choose] = useState(able[0]?.id ?? "");
  const provider = able.find(({ id }) => id === chosen);
  const title = one === null ? t("acct.login.title") : t("acct.login.again", { name: one.label ?? one.id });
  if (provider === undefined) {
    return html`<${Dialog} title=${title} onClose=${onClose}><p>${t("acct.login.noProvider")}</p><pre class="acct-sample" tabindex="0">${t("acct.sample")}</pre>
      <div class="actions"><button type="button" class="button" onClick=${onClose}>${t("dialog.close")}</button></div><//>`;
  }
  /** @param {FormData} form */
  const save = async (form) =>
    onBegun(await call("POST", "/api/profiles/login", {
      provider: provider.id, name: one === null ? typed(form, "name") : one.id.slice(one.provider.length + 1), method: typed(form, "method") ?? provider.methods[0],
      label: one === null ? typed(form, "label") : undefined,
    }));
  return html`<${FormDialog} title=${title} go=${t("acct.login.begin")} onClose=${onClose} save=${save}>
    ${one === null && html`<label class="field"><span>${t("acct.add.provider")}</span><select class="input" name="provider" value=${chosen} onChange=${(/** @type {any} */ event) => choose(event.target.value)}>
        ${able.map(({ id, name }) => html`<option key=${id} value=${id}>${name}</option>`)}</select></label>
      <${Field} label=${t("acct.add.name")} hint=${t("acct.add.name.hint")} name="name" required pattern="[A-Za-z0-9][A-Za-z0-9._@+\\-]{0,63}" defaultValue="default" autocapitalize="none" spellcheck=${false} />
      <${Field} label=${t("acct.label")} hint=${t("acct.label.hint")} name="label" maxlength="100" />`}
    ${provider.methods.length > 1 && html`<fieldset class="segments"><legend>${t("acct.login.method")}</legend>${provider.methods.map((method, index) => html`
      <label key=${method}><input type="radio" name="method" value=${method} defaultChecked=${index === 0} /><span>${t(`acct.login.${method}`)}</span></label>`)}</fieldset>`}
    <p class="muted">${t("acct.login.text")}</p>
  <//>`;
}

/** @param {{login: Login}} props */
function Go({ login }) {
  if (login.url === null) return null;
  return html`<a class="button acct-open" href=${login.url} target="_blank" rel="noopener noreferrer"><${Icon} name="open" />${t("acct.login.open")}</a>
    <${Command} text=${login.url} />`;
}

/** How long there is still time. @param {{login: Login}} props */
const Left = ({ login }) => html`<p class="muted small">${login.expiresAt > now.value ? t("acct.login.left", { span: span(login.expiresAt - now.value) }) : t("acct.login.late")}</p>`;

/** @param {{login: Login, onClose: () => void, onState: (login: Login) => void}} props */
function Wait({ login, onClose, onState }) {
  if (login.method === "device") {
    return html`<${Dialog} title=${t("acct.login.code", { name: login.profileId })} onClose=${onClose}><div class="stack">
      <p>${t("acct.login.code.text")}</p><p class="acct-code" dir="ltr">${login.userCode}</p><${Go} login=${login} />
      <p class="muted" role="status">${t("acct.login.waiting")}</p><${Left} login=${login} />
      <div class="actions"><button type="button" class="button" onClick=${onClose}>${t("dialog.cancel")}</button></div></div><//>`;
  }
  /** @param {FormData} form */
  const save = async (form) => onState(await call("POST", path`/api/profiles/login/${login.id}/finish`, { address: typed(form, "address") }));
  return html`<${FormDialog} title=${t("acct.login.browser.title", { name: login.profileId })} go=${t("acct.login.finish")} onClose=${onClose} save=${save}>
    <p>${t("acct.login.browser.text")}</p><${Go} login=${login} />
    <${Field} label=${t("acct.login.address")} hint=${t(login.landsHere ? "acct.login.address.here" : "acct.login.address.paste")} name="address" required spellcheck=${false} dir="ltr" />
    <${Left} login=${login} />
  <//>`;
}

/** @param {{providers: Provider[], one?: Profile | null, onClose: () => void, onDone: () => void}} props `one`: log in again */
export function LoginDialog({ providers, one = null, onClose, onDone }) {
  const [login, setLogin] = useState(/** @type {Login | null} */ (null));
  const waits = login?.state === "waiting" && login.id;
  useEffect(() => {
    if (!waits) return;
    const timer = setInterval(async () => {
      try {
        const next = await call("GET", path`/api/profiles/login/${waits}`);
        setLogin((before) => (before?.id === waits && before.state === "waiting" ? next : before));
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        // Out of reach for a moment, or its time is up: the words below the address say so.
      }
    }, AGAIN_MS);
    return () => clearInterval(timer);
  }, [waits]);
  useEffect(() => {
    if (login?.state !== "done") return;
    say(t("acct.login.done", { name: login.profileId }));
    onDone();
  }, [login?.state]);
  if (login === null) return html`<${Begin} providers=${providers} one=${one} onClose=${onClose} onBegun=${setLogin} />`;
  if (login.state === "failed") {
    return html`<${Dialog} title=${t("acct.login.failed", { name: login.profileId })} onClose=${onClose}><p role="alert">${login.reason}</p>
      <div class="actions"><button type="button" class="button" onClick=${onClose}>${t("dialog.close")}</button>
        <button type="button" class="button primary" onClick=${() => setLogin(null)}>${t("acct.login.anew")}</button></div><//>`;
  }
  return login.state === "waiting" && html`<${Wait} login=${login} onClose=${onClose} onState=${setLogin} />`;
}
