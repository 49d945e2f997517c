// Making a token: for whom, for what, on which bots, how long.

import { call } from "../../api.js";
import { botList, me } from "../../house.js";
import { html, useState } from "../../lib.js";
import { Dialog } from "../../parts/dialog.js";
import { useLoaded } from "../../parts/loaded.js";
import { t } from "../../strings.js";
import { loadUsers } from "./people.js";

const SCOPES = /** @type {const} */ (["read", "chat", "operate", "publish", "admin"]);
const DAYS = [7, 30, 90, 365];
const DAY_MS = 86_400_000;

/**
 * @param {{forOthers: boolean, user: string | null, onClose: () => void, onMade: (token: {name: string, token: string}) => void}} props
 */
export function NewToken({ forOthers, user, onClose, onMade }) {
  const [someBots, setSomeBots] = useState(false);
  const [said, say] = useState("");
  const [busy, setBusy] = useState(false);
  const users = useLoaded(async (abort) => (forOthers ? await loadUsers(abort) : []), [forOthers]);

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const scopes = form.getAll("scope");
    const bots = someBots ? form.getAll("bot") : null;
    if (!scopes.length) return say(t("admin.tokens.noScope"));
    if (bots && !bots.length) return say(t("admin.tokens.noBot"));
    const days = Number(form.get("days"));
    setBusy(true);
    try {
      onMade(await call("POST", "/api/tokens", {
        name: form.get("name"), scopes, bots, expiresAt: days ? Date.now() + days * DAY_MS : null, userId: form.get("user"),
      }));
    } catch (error) {
      say(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  }

  const scopes = SCOPES.filter((scope) => scope !== "admin" || me.value?.admin);
  return html`<${Dialog} title=${t("admin.tokens.add")} onClose=${onClose}>
    <form class="admin-form" onSubmit=${submit}>
      <label class="field"><span>${t("admin.tokens.nameLabel")}</span><input class="input" name="name" required maxlength="100" autocomplete="off" /></label>
      ${forOthers && html`<label class="field"><span>${t("admin.tokens.whose")}</span>
        <select class="input" name="user" key=${users.value === null}>${(users.value ?? []).map((one) => html`
          <option key=${one.id} value=${one.id} selected=${one.id === (user ?? me.value?.userId)}>${one.name} (${one.id})</option>`)}</select></label>`}
      <fieldset><legend>${t("admin.tokens.scopes")}</legend>${scopes.map((scope) => html`
        <label key=${scope} class="admin-pick"><input type="checkbox" name="scope" value=${scope} /><span><b>${scope}</b> ${t(`admin.scope.${scope}`)}</span></label>`)}</fieldset>
      <fieldset><legend>${t("admin.tokens.bots")}</legend>
        <label class="admin-pick"><input type="radio" name="which" checked=${!someBots} onChange=${() => setSomeBots(false)} /><span>${t("admin.tokens.allBots")}</span></label>
        <label class="admin-pick"><input type="radio" name="which" checked=${someBots} onChange=${() => setSomeBots(true)} /><span>${t("admin.tokens.someBots")}</span></label>
        ${someBots && html`<div class="admin-indent">${botList.value.map((bot) => html`
          <label key=${bot.botId} class="admin-pick"><input type="checkbox" name="bot" value=${bot.botId} /><span>${bot.name}</span></label>`)}</div>`}</fieldset>
      <label class="field"><span>${t("admin.tokens.lasts")}</span>
        <select class="input" name="days">${DAYS.map((days) => html`<option key=${days} value=${days} selected=${days === 90}>${t("admin.tokens.days", { count: days })}</option>`)}
          <option value="0">${t("admin.tokens.forEver")}</option></select></label>
      <p role="alert" class="trouble">${said}</p>
      <div class="actions">
        <button type="button" class="button" onClick=${onClose}>${t("dialog.cancel")}</button>
        <button class="button primary" disabled=${busy}>${t("admin.tokens.addGo")}</button>
      </div>
    </form>
  <//>`;
}
