// One person: name, role, grants, ways in; and removing.

import { call, path } from "../../api.js";
import { me } from "../../house.js";
import { html, signal, useState } from "../../lib.js";
import { confirm } from "../../parts/dialog.js";
import { Icon } from "../../parts/icon.js";
import { Empty } from "../../parts/loaded.js";
import { say, sayError } from "../../parts/toast.js";
import { navigate } from "../../router.js";
import { t } from "../../strings.js";
import { full } from "../../time.js";
import { CopyField } from "./copy.js";
import { Grants } from "./grants.js";
import { Head, Shown, useFresh } from "./live.js";
import { loadUsers, MIN_PASSWORD, standing } from "./people.js";

/** @typedef {import("./people.js").UserInfo} UserInfo */

/** The one-time link that was just made. It lives here only: the daemon can't tell it again. */
const link = signal(/** @type {{userId: string, text: string, expiresAt: number} | null} */ (null));

/** Make a link with which a user sets a password. @param {string} userId */
export async function makeLink(userId) {
  const made = await call("POST", "/api/codes", { purpose: "setup", userId });
  link.value = { userId, text: made.link ?? `${location.origin}/#code=${made.code}`, expiresAt: made.expiresAt };
}

/** @param {{user: UserInfo}} props */
function Link({ user }) {
  const made = link.value;
  if (made?.userId !== user.id) return null;
  return html`<section class="admin-once" aria-label=${t("admin.user.link")}>
    <p>${t("admin.user.linkText", { name: user.name, until: full(made.expiresAt) })}</p>
    <${CopyField} label=${t("admin.user.link")} text=${made.text} taken />
    <div><button class="button" onClick=${() => (link.value = null)}>${t("admin.done")}</button></div>
  </section>`;
}

/** @param {{user: UserInfo, reload: () => void}} props */
function Role({ user, reload }) {
  const self = user.id === me.value?.userId;

  /** @param {Record<string, unknown>} change @param {string} text @param {Record<string, unknown>} [back] how to undo it */
  async function edit(change, text, back) {
    try {
      await call("PATCH", path`/api/users/${user.id}`, change);
      say(text, back && { undo: () => edit(back, t("admin.undone")) });
    } catch (error) {
      sayError(error);
    }
    reload();
  }

  /** @param {SubmitEvent} event */
  function rename(event) {
    event.preventDefault();
    const name = String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("name")).trim();
    if (name && name !== user.name) edit({ name }, t("admin.user.renamed", { name }), { name: user.name });
  }

  /** Turn a switch. Nobody gives one's own role back to oneself, so that is asked first. @param {Event} event @param {"admin" | "disabled"} what @param {boolean} to */
  async function turn(event, what, to) {
    const box = /** @type {HTMLInputElement} */ (event.target);
    const loses = what === "admin" ? !to : to;
    if (self && loses) {
      box.checked = !box.checked;
      const yes = await confirm({ title: t(`admin.user.own.${what}`), text: t(`admin.user.own.${what}Text`), action: t("admin.user.own.go") });
      if (!yes) return;
    }
    edit({ [what]: to }, t(`admin.user.${what}.${to ? "on" : "off"}`, { name: user.name }), self ? undefined : { [what]: !to });
  }

  return html`<section><h2>${t("admin.user.who")}</h2>
    <form class="admin-line" onSubmit=${rename}>
      <label class="field"><span>${t("admin.users.name")}</span>
        <input class="input" name="name" required maxlength="100" defaultValue=${user.name} key=${user.name} autocomplete="off" /></label>
      <button class="button">${t("admin.user.rename")}</button>
    </form>
    <label class="admin-pick"><input type="checkbox" checked=${user.admin} onChange=${(/** @type {Event} */ event) => turn(event, "admin", !user.admin)} />
      <span>${t("admin.users.adminFlag")}</span></label>
    <label class="admin-pick"><input type="checkbox" checked=${!user.disabled} onChange=${(/** @type {Event} */ event) => turn(event, "disabled", !user.disabled)} />
      <span>${t("admin.user.enabled")}</span></label>
  </section>`;
}

/** @param {{user: UserInfo, reload: () => void}} props */
function WaysIn({ user, reload }) {
  const [said, setSaid] = useState("");

  /** @param {SubmitEvent} event */
  async function setPassword(event) {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    try {
      await call("PUT", path`/api/users/${user.id}/password`, { password: new FormData(form).get("password") });
      form.reset();
      setSaid("");
      say(t("admin.user.passwordSet", { name: user.name }));
      reload();
    } catch (error) {
      setSaid(error instanceof Error ? error.message : String(error));
    }
  }

  return html`<section><h2>${t("admin.user.waysIn")}</h2>
    <p>
      <a href=${`/admin/sessions?user=${user.id}`}>${t("admin.user.sessions", { count: user.sessions })}</a>${" · "}
      <a href=${`/admin/tokens?user=${user.id}`}>${t("admin.user.tokens", { count: user.tokens })}</a>${" · "}
      <a href=${`/admin/audit?user=${user.id}`}>${t("admin.user.audit")}</a>
    </p>
    <div><button class="button" onClick=${() => makeLink(user.id).catch(sayError)}>${t("admin.user.makeLink")}</button></div>
    <form class="admin-line" onSubmit=${setPassword}>
      <input type="hidden" name="username" autocomplete="username" value=${user.id} />
      <label class="field"><span>${t("admin.user.password")}</span>
        <input class="input" name="password" type="password" minlength=${MIN_PASSWORD} required autocomplete="new-password" aria-describedby="password-hint" /></label>
      <button class="button">${t("admin.user.setPassword")}</button>
      <small id="password-hint" class="muted">${t("admin.passwordHint", { n: MIN_PASSWORD })} ${t("admin.user.passwordEnds")}</small>
    </form>
    <p role="alert" class="trouble">${said}</p>
  </section>`;
}

/** @param {{user: UserInfo, reload: () => void}} props */
function Remove({ user, reload }) {
  async function remove() {
    const { name } = user;
    const text = t("admin.user.removeText", { name, id: user.id });
    if (!(await confirm({ title: t("admin.user.removeTitle", { name }), text, action: t("admin.user.remove") }))) return;
    try {
      await call("DELETE", path`/api/users/${user.id}`);
      say(t("admin.user.removed", { name }));
      navigate("/admin/users", { replace: true });
    } catch (error) {
      sayError(error);
      reload();
    }
  }
  return html`<section><h2>${t("admin.user.removing")}</h2><p class="muted">${t("admin.user.removeText", { name: user.name, id: user.id })}</p>
    <div><button class="button danger" onClick=${remove}><${Icon} name="trash" />${t("admin.user.remove")}</button></div></section>`;
}

/** @param {{userId: string}} props */
export function User({ userId }) {
  const users = useFresh(loadUsers, []);
  const user = users.value?.find((one) => one.id === userId);
  const { reload } = users;
  const back = { to: "/admin/users", name: t("admin.users") };
  return html`<${Head} title=${user?.name ?? userId} back=${back}
      text=${user && [user.id, user.admin && t("admin.users.admin"), standing(user), t("admin.user.since", { at: full(user.createdAt) })].filter(Boolean).join(" · ")} />
    <${Shown} from=${users}>${() => user === undefined
      ? html`<${Empty} text=${t("admin.user.absent", { id: userId })}><a href="/admin/users">${t("admin.users")}</a><//>`
      : html`<${Link} user=${user} />
        <${Grants} user=${user} reload=${reload} />
        <${Role} user=${user} reload=${reload} />
        <${WaysIn} user=${user} reload=${reload} />
        <${Remove} user=${user} reload=${reload} />`}<//>`;
}
