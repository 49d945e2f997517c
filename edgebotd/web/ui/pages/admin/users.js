// People: the list, and adding one. `/admin/users/{id}` is one of them.

import { call } from "../../api.js";
import { html, useId, useState } from "../../lib.js";
import { Dialog } from "../../parts/dialog.js";
import { Icon } from "../../parts/icon.js";
import { navigate } from "../../router.js";
import { t } from "../../strings.js";
import { age, full } from "../../time.js";
import { Head, Shown, useFresh, word } from "./live.js";
import { loadUsers, MIN_PASSWORD, standing } from "./people.js";
import { Table } from "./table.js";
import { makeLink, User } from "./user.js";

/** @typedef {import("./people.js").UserInfo} UserInfo */

/** @param {UserInfo} user */
function may(user) {
  if (user.admin) return t("admin.users.everyBot");
  const grants = Object.entries(user.grants);
  if (!grants.length) return html`<span class="muted">${t("admin.users.noBot")}</span>`;
  return grants.map(([bot, grant]) => `${bot}: ${word("admin.grant", grant)}`).join(", ");
}

const columns = () => /** @type {import("./table.js").Column<UserInfo>[]} */ ([
  { key: "user", label: t("admin.users.user"), as: "main", sort: (user) => user.name,
    cell: (user) => html`<a href=${`/admin/users/${user.id}`}>${user.name}</a> ${user.name !== user.id && html`<span class="muted">${user.id}</span>`}` },
  { key: "may", label: t("admin.users.may"), as: "wide", cell: may },
  { key: "role", label: t("admin.users.role"), sort: (user) => Number(!user.admin), cell: (user) => user.admin && t("admin.users.admin") },
  { key: "state", label: t("admin.users.state"), cell: standing },
  { key: "sessions", label: t("admin.sessions"), as: "number", sort: (user) => user.sessions, cell: (user) => user.sessions },
  { key: "tokens", label: t("admin.tokens"), as: "number", sort: (user) => user.tokens, cell: (user) => user.tokens },
  { key: "seen", label: t("admin.sessions.seen"), as: "number", sort: (user) => user.lastSeenAt,
    cell: (user) => (user.lastSeenAt === null ? html`<span class="muted">${t("admin.never")}</span>` : html`<span title=${full(user.lastSeenAt)}>${age(user.lastSeenAt)}</span>`) },
  { key: "created", label: t("admin.created"), as: "number", sort: (user) => user.createdAt,
    cell: (user) => html`<span title=${full(user.createdAt)}>${age(user.createdAt)}</span>` },
]);

/** @param {{onClose: () => void}} props */
function AddUser({ onClose }) {
  const [by, setBy] = useState(/** @type {"link" | "password"} */ ("link"));
  const [said, say] = useState("");
  const [busy, setBusy] = useState(false);
  const hint = useId();

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const id = String(form.get("id"));
    setBusy(true);
    try {
      await call("POST", "/api/users", {
        id, name: form.get("name") || null, admin: form.has("admin"), password: by === "password" ? form.get("password") : null,
      });
      if (by === "link") await makeLink(id);
      onClose();
      navigate(`/admin/users/${id}`);
    } catch (error) {
      say(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  }

  /** @param {"link" | "password"} value */
  const choice = (value) => html`<label class="admin-pick"><input type="radio" name="by" checked=${by === value} onChange=${() => setBy(value)} />
    <span>${t(`admin.users.by.${value}`)}</span></label>`;

  return html`<${Dialog} title=${t("admin.users.add")} onClose=${onClose}>
    <form class="admin-form" onSubmit=${submit}>
      <label class="field"><span>${t("admin.users.id")}</span>
        <input class="input" name="id" required maxlength="32" pattern="[a-z0-9][a-z0-9\\-]*" autocapitalize="none" autocomplete="off" spellcheck="false" aria-describedby=${`${hint}-id`} /></label>
      <small id=${`${hint}-id`} class="muted">${t("admin.users.idHint")}</small>
      <label class="field"><span>${t("admin.users.name")}</span><input class="input" name="name" maxlength="100" autocomplete="off" /></label>
      <fieldset><legend>${t("admin.users.getsIn")}</legend>${choice("link")}${choice("password")}</fieldset>
      ${by === "password" && html`<label class="field"><span>${t("signIn.password")}</span>
        <input class="input" name="password" type="password" minlength=${MIN_PASSWORD} required autocomplete="new-password" aria-describedby=${hint} /></label>
        <small id=${hint} class="muted">${t("admin.passwordHint", { n: MIN_PASSWORD })}</small>`}
      <label class="admin-pick"><input type="checkbox" name="admin" /><span>${t("admin.users.adminFlag")}</span></label>
      <p role="alert" class="trouble">${said}</p>
      <div class="actions">
        <button type="button" class="button" onClick=${onClose}>${t("dialog.cancel")}</button>
        <button class="button primary" disabled=${busy}>${t("admin.users.addGo")}</button>
      </div>
    </form>
  <//>`;
}

function Everybody() {
  const users = useFresh(loadUsers, []);
  const [adding, setAdding] = useState(false);
  return html`
    <${Head} title=${t("admin.users")}>
      <button class="button primary" onClick=${() => setAdding(true)}><${Icon} name="add" />${t("admin.users.add")}</button>
    <//>
    <${Shown} from=${users}>${(/** @type {UserInfo[]} */ items) => html`
      <${Table} label=${t("admin.users")} columns=${columns()} rows=${items} id=${(/** @type {UserInfo} */ user) => user.id}
        order=${{ key: "user", down: false }} words=${(/** @type {UserInfo} */ user) => `${user.name} ${user.id}`} />`}<//>
    ${adding && html`<${AddUser} onClose=${() => setAdding(false)} />`}`;
}

/** @param {{rest?: string | null}} props */
export function Users({ rest = null }) {
  return rest === null ? html`<${Everybody} />` : html`<${User} key=${rest} userId=${rest} />`;
}
