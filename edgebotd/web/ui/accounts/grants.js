// The agents that may fetch an account's token: the tokens made for them, making one, revoking one.

import { call, path } from "../api.js";
import { me } from "../house.js";
import { html, useState } from "../lib.js";
import { Age } from "../parts/age.js";
import { Command } from "../parts/copy.js";
import { confirm } from "../parts/dialog.js";
import { Icon } from "../parts/icon.js";
import { useLoaded } from "../parts/loaded.js";
import { say, sayError } from "../parts/toast.js";
import { CopyField } from "../pages/admin/copy.js";
import { Shown, useFresh } from "../pages/admin/live.js";
import { loadUsers } from "../pages/admin/people.js";
import { Field } from "../pages/connect.js";
import { t } from "../strings.js";
import { full, moment } from "../time.js";
import { FormDialog, typed } from "./forms.js";

/**
 * @typedef {import("../profiles.js").Profile} Profile
 * @typedef {{id: string, userId: string, name: string, createdAt: number, expiresAt: number | null, usedAt: number | null}} Grant `GET /api/profiles/{id}/grants`
 */

const HOUR_MS = 3_600_000;
const HOURS = [8, 24, 168, 720, 8760];
const AGAIN_SECONDS = 30;

/** @param {number} hours */
const lasting = (hours) => (hours % 24 === 0 ? t("acct.grant.days", { count: hours / 24 }) : t("acct.grant.hours", { count: hours }));

/** @param {{one: Profile, onClose: () => void, onMade: (made: {name: string, token: string}) => void}} props */
function GrantDialog({ one, onClose, onMade }) {
  const users = useLoaded(loadUsers, []);
  /** @param {FormData} form */
  const save = async (form) =>
    onMade(await call("POST", path`/api/profiles/${one.id}/grants`, { name: typed(form, "name"), userId: typed(form, "user"), expiresAt: Date.now() + Number(form.get("hours")) * HOUR_MS }));
  return html`<${FormDialog} title=${t("acct.grant.title")} go=${t("acct.grant.go")} onClose=${onClose} save=${save}>
    <p class="muted">${t("acct.grant.text")}</p>
    <${Field} label=${t("acct.grant.name")} hint=${t("acct.grant.name.hint")} name="name" required maxlength="100" autofocus />
    <label class="field"><span>${t("acct.grant.user")}</span><select class="input" name="user" key=${users.value === null}>
      ${(users.value ?? []).map(({ id, name }) => html`<option key=${id} value=${id} selected=${id === me.value?.userId}>${name === id ? id : `${name} (${id})`}</option>`)}</select>
      <small class="muted">${t("acct.grant.user.hint")}</small></label>
    <label class="field"><span>${t("acct.grant.lasts")}</span><select class="input" name="hours">${HOURS.map((hours) => html`<option key=${hours} value=${hours} selected=${hours === 24}>${lasting(hours)}</option>`)}</select></label>
  <//>`;
}

/** @param {{grant: Grant, revoke: () => void}} props */
function Row({ grant, revoke }) {
  const { name, userId, usedAt, expiresAt } = grant;
  return html`<li class="acct-use"><span class="acct-use-who"><span dir="auto">${name}</span> <a class="muted" href=${`/admin/users/${userId}`}>${userId}</a></span>
    <p>${usedAt === null ? html`<span class="muted">${t("acct.grant.unused")}</span>` : html`${t("acct.grant.used")} <${Age} at=${usedAt} />`}
      <span class="muted" title=${expiresAt && full(expiresAt)}> · ${expiresAt === null ? t("acct.grant.endless") : t("acct.grant.until", { time: moment(expiresAt) })}</span></p>
    <button type="button" class="button" aria-label=${t("acct.grant.revokeOf", { name })} onClick=${revoke}>${t("acct.grant.revoke")}</button></li>`;
}

/** @param {{one: Profile}} props */
export function Grants({ one }) {
  const from = useFresh(async (signal) => /** @type {Grant[]} */ ((await call("GET", path`/api/profiles/${one.id}/grants`, undefined, { signal })).items), [one.id], AGAIN_SECONDS);
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState(/** @type {{name: string, token: string} | null} */ (null));
  /** @param {Grant} grant */
  async function revoke({ id, name }) {
    if (!(await confirm({ title: t("acct.grant.revoke.title", { name }), text: t("acct.grant.revoke.text"), action: t("acct.grant.revoke") }))) return;
    try {
      await call("DELETE", path`/api/tokens/${id}`);
      say(t("acct.grant.revoked", { name }));
    } catch (error) {
      sayError(error);
    }
    from.reload();
  }
  /** @param {{name: string, token: string}} grant */
  const onMade = (grant) => (setAdding(false), setMade(grant), from.reload());
  return html`<section class="acct-uses"><div class="acct-history-head"><h2>${t("acct.grants")}</h2>
      <button type="button" class="button" onClick=${() => setAdding(true)}><${Icon} name="add" />${t("acct.grant.add")}</button></div>
    ${made && html`<section class="admin-once stack" aria-label=${t("admin.tokens.secret")}><p>${t("admin.tokens.once", { name: made.name })}</p>
      <${CopyField} label=${t("admin.tokens.secret")} text=${made.token} taken />
      <p>${t("acct.grant.how")}</p><${Command} text=${`edgebotd token ${one.id}`} />
      <div><button type="button" class="button" onClick=${() => setMade(null)}>${t("admin.done")}</button></div></section>`}
    <${Shown} from=${from}>${(/** @type {Grant[]} */ items) =>
      items.length === 0 ? html`<p class="muted">${t("acct.grants.none")}</p>` : html`<ul>${items.map((grant) => html`<${Row} key=${grant.id} grant=${grant} revoke=${() => revoke(grant)} />`)}</ul>`}<//>
    ${adding && html`<${GrantDialog} one=${one} onClose=${() => setAdding(false)} onMade=${onMade} />`}
  </section>`;
}
