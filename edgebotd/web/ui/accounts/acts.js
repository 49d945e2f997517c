// What an administrator does with a login, and the dialogs that it takes.

import { call, path } from "../api.js";
import { bots } from "../house.js";
import { html, useState } from "../lib.js";
import { confirm } from "../parts/dialog.js";
import { Icon } from "../parts/icon.js";
import { Menu } from "../parts/menu.js";
import { say, sayError } from "../parts/toast.js";
import { nameOf } from "../profiles.js";
import { t } from "../strings.js";
import { EditDialog, SecretDialog } from "./keys.js";
import { LoginDialog } from "./sign-in.js";
import { stateWords, wantsLogin } from "./words.js";

/**
 * @typedef {import("../profiles.js").Profile} Profile
 * @typedef {import("../profiles.js").Provider} Provider
 */

/** @param {{one: Profile, providers: Provider[], reload: () => void, onGone?: () => void}} props */
export function Acts({ one, providers, reload, onGone = reload }) {
  const [open, setOpen] = useState(/** @type {"login" | "secret" | "edit" | null} */ (null));
  const [busy, setBusy] = useState(false);
  const name = nameOf(one);
  const mine = one.owner === "edgebotd";
  const oauth = mine && one.type === "oauth";
  const close = () => setOpen(null);
  const done = () => (close(), reload());

  async function refresh() {
    setBusy(true);
    try {
      const after = await call("POST", path`/api/profiles/${one.id}/refresh`);
      say(t("acct.refreshed", { name, state: stateWords(after).text }), { bad: after.state !== "fresh" });
    } catch (error) {
      sayError(error);
    } finally {
      setBusy(false);
      reload();
    }
  }

  async function remove() {
    const users = one.bots.map((id) => bots.value.get(id)?.name ?? id).join(", ");
    const kept = t(mine ? "acct.remove.text" : "acct.remove.watched");
    const text = users ? `${kept} ${t("acct.remove.bots", { bots: users })}` : kept;
    if (!(await confirm({ title: t("acct.remove.title", { name }), text, action: t("acct.remove") }))) return;
    try {
      await call("DELETE", path`/api/profiles/${one.id}`);
      say(t("acct.removed", { name }));
      onGone();
    } catch (error) {
      sayError(error);
    }
  }

  const wants = wantsLogin(one);
  return html`<div class="acct-acts">
    ${oauth && wants && html`<button type="button" class="button primary" onClick=${() => setOpen("login")}>${t("acct.act.login")}<span class="visually-hidden"> ${name}</span></button>`}
    ${oauth && !wants && html`<button type="button" class="button" disabled=${busy} onClick=${refresh}>${busy ? t("acct.act.refreshing") : t("acct.act.refresh")}<span class="visually-hidden"> ${name}</span></button>`}
    ${mine && !oauth && wants && html`<button type="button" class="button primary" onClick=${() => setOpen("secret")}>${t("acct.act.secret")}<span class="visually-hidden"> ${name}</span></button>`}
    <${Menu} label=${t("acct.more", { name })}>
      ${oauth && !wants && html`<button type="button" onClick=${() => setOpen("login")}>${t("acct.act.login")}</button>`}
      ${mine && !oauth && !wants && html`<button type="button" onClick=${() => setOpen("secret")}>${t("acct.act.secret")}</button>`}
      <button type="button" onClick=${() => setOpen("edit")}>${t(one.owner === "gateway" ? "acct.label" : "acct.act.edit")}</button>
      ${one.owner !== "gateway" && html`<button type="button" class="danger" onClick=${remove}><${Icon} name="trash" />${t("acct.remove")}</button>`}<//>
    ${open === "login" && html`<${LoginDialog} providers=${providers} one=${one} onClose=${close} onDone=${done} />`}
    ${open === "secret" && html`<${SecretDialog} one=${one} onClose=${close} onDone=${done} />`}
    ${open === "edit" && html`<${EditDialog} one=${one} onClose=${close} onDone=${done} />`}
  </div>`;
}
