// One's own account: who one is, the password, logins, tokens.

import { call, path } from "../api.js";
import { bots, me } from "../house.js";
import { html, useId, useState } from "../lib.js";
import { say, sayError } from "../parts/toast.js";
import { t } from "../strings.js";
import { Head, Shown, word } from "./admin/live.js";
import { MIN_PASSWORD } from "./admin/people.js";
import { SessionTable, useSessions } from "./admin/sessions.js";
import { OwnTokens } from "./admin/tokens.js";

/** @typedef {import("./admin/sessions.js").SessionInfo} SessionInfo */

function Who() {
  if (me.value === null) return null;
  const { userId, admin, grants } = me.value;
  const may = Object.entries(grants).map(([id, grant]) => `${bots.value.get(id)?.name ?? id}: ${word("admin.grant", grant)}`);
  return html`<dl class="admin-facts">
    <div><dt>${t("admin.users.id")}</dt><dd>${userId}</dd></div>
    <div><dt>${t("admin.users.may")}</dt><dd>${admin ? t("admin.users.everyBot") : may.join(", ") || t("admin.users.noBot")}</dd></div>
  </dl>`;
}

/** @param {{onChanged: () => void}} props */
function Password({ onChanged }) {
  const [said, setSaid] = useState("");
  const [busy, setBusy] = useState(false);
  const hint = useId();

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const element = /** @type {HTMLFormElement} */ (event.target);
    const form = new FormData(element);
    setBusy(true);
    try {
      await call("PUT", "/api/me/password", { currentPassword: form.get("current"), newPassword: form.get("new") });
      element.reset();
      setSaid("");
      say(t("admin.account.changed"));
      onChanged();
    } catch (error) {
      setSaid(error instanceof Error ? error.message : String(error));
    }
    setBusy(false);
  }

  return html`<section><h2>${t("signIn.password")}</h2>
    <form class="admin-form admin-narrow" onSubmit=${submit}>
      <input type="hidden" name="username" autocomplete="username" value=${me.value?.userId} />
      <label class="field"><span>${t("admin.account.current")}</span>
        <input class="input" name="current" type="password" required autocomplete="current-password" /></label>
      <label class="field"><span>${t("admin.account.new")}</span>
        <input class="input" name="new" type="password" required minlength=${MIN_PASSWORD} autocomplete="new-password" aria-describedby=${hint} /></label>
      <small id=${hint} class="muted">${t("admin.passwordHint", { n: MIN_PASSWORD })} ${t("admin.account.ends")}</small>
      <p role="alert" class="trouble">${said}</p>
      <div><button class="button" disabled=${busy}>${t("admin.account.change")}</button></div>
    </form></section>`;
}

/** @param {{sessions: ReturnType<typeof useSessions>}} props */
function Logins({ sessions }) {
  const others = (sessions.value ?? []).filter((one) => !one.current);
  async function endOthers() {
    try {
      for (const one of others) await call("DELETE", path`/api/sessions/${one.id}`);
      say(t("admin.account.othersEnded", { count: others.length }));
    } catch (error) {
      sayError(error);
    }
    sessions.reload();
  }
  return html`<section>
    <div class="admin-section-head"><h2>${t("admin.account.sessions")}</h2>
      ${others.length > 0 && html`<button class="button" onClick=${endOthers}>${t("admin.account.endOthers")}</button>`}</div>
    <${Shown} from=${sessions}>${(/** @type {SessionInfo[]} */ items) => html`<${SessionTable} items=${items} all=${false} reload=${sessions.reload} />`}<//>
  </section>`;
}

export function Account() {
  const sessions = useSessions(false);
  return html`<${Head} title=${me.value?.name ?? t("nav.account")} back=${{ to: "/", name: t("nav.dashboard") }} />
    <${Who} />
    <${Password} onChanged=${sessions.reload} />
    <${Logins} sessions=${sessions} />
    <${OwnTokens} />`;
}
