// How a login is, with what is wrong and what comes next; and the bots that use it.

import { bots } from "../house.js";
import { html } from "../lib.js";
import { Age } from "../parts/age.js";
import { Mark } from "../parts/state.js";
import { t } from "../strings.js";
import { nextWords, stateWords } from "./words.js";

/** @typedef {import("../profiles.js").Profile} Profile */

/** @param {{one: Profile}} props */
export function LoginState({ one }) {
  const { mark, text } = stateWords(one);
  const next = nextWords(one);
  const since = one.changedAt !== null && mark !== "connected" ? one.changedAt : null;
  return html`<div class="acct-state"><p class="acct-state-words"><${Mark} state=${mark} /><span><span>${text}</span>${since !== null && html` <span class="muted"><${Age} at=${since} /></span>`}
      ${next && html`<span class="muted"> · ${next}</span>`}</span></p>
    ${one.reason && mark !== "connected" && html`<p class="small acct-why">${one.reason}</p>`}</div>`;
}

/** @param {{ids: string[]}} props */
export function UsedBy({ ids }) {
  if (ids.length === 0) return html`<span class="muted">${t("acct.noBot")}</span>`;
  return html`${ids.map((id, index) => html`${index > 0 && ", "}${bots.value.has(id) ? html`<a key=${id} href=${`/bots/${id}/account`} dir="auto">${bots.value.get(id)?.name}</a>` : html`<span key=${id}>${id}</span>`}`)}`;
}
