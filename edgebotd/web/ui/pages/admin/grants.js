// What one person may do with each bot: a matrix of nothing, view, chat, operate.

import { call, path } from "../../api.js";
import { botList } from "../../house.js";
import { html, useEffect, useState } from "../../lib.js";
import { Empty } from "../../parts/loaded.js";
import { sayError } from "../../parts/toast.js";
import { t } from "../../strings.js";

const CHOICES = /** @type {const} */ (["none", "view", "chat", "operate"]);
/** @typedef {(typeof CHOICES)[number]} Choice */

/**
 * @param {{user: import("./people.js").UserInfo, bot: {id: string, name: string}, grant: Choice, reload: () => void}} props
 */
function Row({ user, bot, grant, reload }) {
  const [said, setSaid] = useState("");
  const [wanted, want] = useState(/** @type {Choice | null} */ (null));

  // What was chosen stays chosen until what is stored has been read again: the segment does not jump back in between.
  useEffect(() => want(null), [user]);

  /** @param {Choice} choice */
  async function choose(choice) {
    const where = path`/api/users/${user.id}/grants/${bot.id}`;
    want(choice);
    try {
      if (choice === "none") await call("DELETE", where);
      else await call("PUT", where, { grant: choice });
      setSaid(t("admin.saved"));
    } catch (error) {
      want(null);
      setSaid("");
      sayError(error);
    }
    reload();
  }

  const shown = wanted ?? grant;
  return html`<div class="admin-grant" role="radiogroup" aria-label=${bot.name}>
    <span class="admin-grant-bot">${bot.name} ${bot.name !== bot.id && html`<span class="muted">${bot.id}</span>`}</span>
    <span class="admin-segments">${CHOICES.map((choice) => html`<label key=${choice}>
      <input type="radio" name=${`grant-${bot.id}`} checked=${shown === choice} onChange=${() => choose(choice)} />
      <span>${t(`admin.grant.${choice}`)}</span></label>`)}</span>
    <span role="status" class="muted">${said}</span>
  </div>`;
}

/** @param {{user: import("./people.js").UserInfo, reload: () => void}} props */
export function Grants({ user, reload }) {
  if (user.admin) return html`<section><h2>${t("admin.grants")}</h2><p>${t("admin.grants.admin")}</p></section>`;
  // A grant may outlive our knowledge of its bot: it is shown, so that it can be taken.
  const known = botList.value.map((bot) => ({ id: bot.botId, name: bot.name }));
  const others = Object.keys(user.grants).filter((id) => !known.some((bot) => bot.id === id)).map((id) => ({ id, name: id }));
  const rows = [...known, ...others].toSorted((one, other) => one.name.localeCompare(other.name));
  return html`<section><h2>${t("admin.grants")}</h2><p class="muted">${t("admin.grants.text")}</p>
    ${rows.map((bot) => html`<${Row} key=${bot.id} user=${user} bot=${bot} reload=${reload}
      grant=${/** @type {Choice} */ (user.grants[bot.id] ?? "none")} />`)}
    ${!rows.length && html`<${Empty} text=${t("admin.grants.noBots")} />`}</section>`;
}
