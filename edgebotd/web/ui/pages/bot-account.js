// The accounts that a bot uses: how each is and how much of it is left. Whoever sees the bot sees that, and no more.

import { LoginState } from "../accounts/state.js";
import { Windows } from "../accounts/windows.js";
import { me } from "../house.js";
import { html } from "../lib.js";
import { Empty } from "../parts/loaded.js";
import { nameOf, placeOf, useAges, useProfiles } from "../profiles.js";
import { t } from "../strings.js";
import { Shown } from "./admin/live.js";

/** @typedef {import("../profiles.js").Profiles} Profiles */

/** @param {{bot: import("../house.js").Bot}} props */
export function AccountTab({ bot }) {
  const from = useProfiles([bot.botId]);
  useAges();
  const admin = me.value?.admin;
  return html`<div class="about acct-bot"><${Shown} from=${from}>${(/** @type {Profiles} */ all) => {
    const mine = all.items.filter((one) => one.bots.includes(bot.botId));
    if (mine.length === 0) {
      return html`<${Empty} text=${t(admin ? "acct.bot.none" : "acct.bot.noneForYou", { name: bot.name })}>${admin && html`<a class="button" href="/accounts">${t("acct.title")}</a>`}<//>`;
    }
    return mine.map((one) => html`<section key=${one.id} class="acct-used-by"><h2>${admin ? html`<a class="acct-name" href=${placeOf(one.id)} dir="auto">${nameOf(one)}</a>` : html`<span>${nameOf(one)}</span>`} <span class="muted">${one.providerName}</span></h2>
      <${LoginState} one=${one} /><${Windows} id=${one.id} asked=${null} /></section>`);
  }}<//></div>`;
}
