// Who uses an account: its bots, with which of them has the present secret, and the agents that may fetch its token.

import { bots } from "../house.js";
import { html, useEffect } from "../lib.js";
import { Age } from "../parts/age.js";
import { Mark } from "../parts/state.js";
import { t } from "../strings.js";
import { Grants } from "./grants.js";

/**
 * @typedef {import("../profiles.js").Profile} Profile
 * @typedef {import("../profiles.js").Delivered} Delivered
 * @typedef {{mark: string, text: string}} Words
 */

const AGAIN_MS = 5000;

/** What a bot has of an account's secret; nothing is said where it is not given while the bot runs. Pure. @param {Delivered} row @returns {Words} */
export function deliveredWords({ generation, current, error }) {
  if (current) return { mark: error ? "disconnected" : "connected", text: t("acct.has.present") };
  return { mark: "disconnected", text: t(generation === null ? "acct.has.none" : "acct.has.earlier") };
}

/** @param {{id: string, row: Delivered | undefined, given: boolean}} props `given`: edgebotd has the secret, and gives it to bots */
function BotUse({ id, row, given }) {
  const name = bots.value.get(id)?.name ?? id;
  const words = given && row ? deliveredWords(row) : null;
  return html`<li class="acct-use"><span class="acct-use-who">${bots.value.has(id) ? html`<a href=${`/bots/${id}/account`} dir="auto">${name}</a>` : html`<span>${name}</span>`}</span>
    <div>${words && html`<p class="acct-state-words"><${Mark} state=${words.mark} /><span>${words.text}${row?.at && html` <span class="muted"><${Age} at=${row.at} /></span>`}</span></p>`}
      ${words && row?.error && html`<p class="small acct-why">${row.error}</p>`}
      ${given && !words && html`<p class="small muted">${t("acct.has.notGiven")}</p>`}</div></li>`;
}

/** @param {{one: Profile, reload: () => void}} props */
export function Uses({ one, reload }) {
  const rows = new Map((one.delivered ?? []).map((row) => [row.botId, row]));
  const given = one.owner === "edgebotd";
  const waits = given && [...rows.values()].some((row) => !row.current);
  // That one has it now is told by nobody, and soon so.
  useEffect(() => {
    if (!waits) return;
    const timer = setInterval(() => document.hidden || reload(), AGAIN_MS);
    return () => clearInterval(timer);
  }, [waits, reload]);
  return html`<section class="acct-uses"><h2>${t("acct.bots")}</h2>
      ${one.bots.length === 0 ? html`<p class="muted">${t("acct.uses.noBot")}</p>` : html`<ul>${one.bots.map((id) => html`<${BotUse} key=${id} id=${id} row=${rows.get(id)} given=${given} />`)}</ul>`}</section>
    ${one.owner !== "gateway" && html`<${Grants} one=${one} />`}`;
}
