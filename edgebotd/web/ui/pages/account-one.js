// One account at a provider: how it is, how much is used and how that came, and what is known of it.

import { Acts } from "../accounts/acts.js";
import { UsageHistory } from "../accounts/history.js";
import { LoginState } from "../accounts/state.js";
import { Uses } from "../accounts/uses.js";
import { Windows } from "../accounts/windows.js";
import { html } from "../lib.js";
import { Icon } from "../parts/icon.js";
import { Empty } from "../parts/loaded.js";
import { nameOf, useAges, useProfiles } from "../profiles.js";
import { navigate } from "../router.js";
import { t } from "../strings.js";
import { full } from "../time.js";
import { Shown } from "./admin/live.js";

/**
 * @typedef {import("../profiles.js").Profile} Profile
 * @typedef {import("../profiles.js").Profiles} Profiles
 */

/** @param {{term: string, children: any}} props */
const Fact = ({ term, children }) => html`<div class="fact"><dt>${term}</dt><dd>${children}</dd></div>`;

/** @param {Profile} one */
function owner(one) {
  if (one.owner === "gateway") return t("acct.owner.gateway", { bot: one.place ?? "" });
  return one.owner === "external" ? t("acct.owner.external") : t(one.type === "oauth" ? "acct.owner.edgebotd" : "acct.owner.kept");
}

/** @param {{one: Profile}} props */
function Facts({ one }) {
  const at = (/** @type {number | null} */ time) => (time === null ? html`<span class="muted">–</span>` : full(time));
  return html`<section class="acct-uses"><h2>${t("acct.about")}</h2><dl class="facts">
    <${Fact} term=${t("acct.fact.id")}><code>${one.id}</code><//>
    <${Fact} term=${t("acct.fact.kind")}>${one.providerName} · ${t(`acct.type.${one.type}`)}<//>
    <${Fact} term=${t("acct.fact.owner")}>${owner(one)}${one.owner === "external" && one.place && html`<br /><code>${one.place}</code>`}<//>
    ${one.accountId && html`<${Fact} term=${t("acct.fact.account")}><code>${one.accountId}</code><//>`}
    ${one.fingerprint && html`<${Fact} term=${t("acct.fact.fingerprint")}><code>${one.fingerprint}</code> <span class="muted">${t("acct.fact.fingerprint.text")}</span><//>`}
    ${one.type === "oauth" && html`<${Fact} term=${t("acct.fact.refreshed")}>${at(one.refreshedAt)}<//>`}
    ${one.nextAt !== null && one.owner === "edgebotd" && one.type === "oauth" && html`<${Fact} term=${t("acct.fact.next")}>${at(one.nextAt)}<//>`}
    ${one.type !== "api_key" && html`<${Fact} term=${t("acct.fact.ends")}>${at(one.expiresAt)}<//>`}
    <${Fact} term=${t("acct.fact.created")}>${at(one.createdAt)}<//>
  </dl></section>`;
}

/** @param {{id: string}} props */
export function Account({ id }) {
  const from = useProfiles();
  useAges();
  return html`<div class="acct acct-one"><p><a class="acct-back" href="/accounts"><${Icon} name="back" />${t("acct.title")}</a></p>
    <${Shown} from=${from}>${(/** @type {Profiles} */ all) => {
      const one = all.items.find((each) => each.id === id);
      if (one === undefined) return html`<h1 class="visually-hidden">${id}</h1><${Empty} text=${t("acct.absent", { id })}><a class="button" href="/accounts">${t("acct.title")}</a><//>`;
      const asked = one.owner === "gateway" || (all.providers.find((each) => each.id === one.provider)?.usage ?? false);
      return html`<header class="acct-head"><h1 dir="auto">${nameOf(one)} <span class="muted">${one.providerName}</span></h1>
          <${Acts} one=${one} providers=${all.providers} reload=${from.reload} onGone=${() => navigate("/accounts")} /></header>
        <${LoginState} one=${one} />
        <${Windows} id=${id} asked=${asked} />
        ${asked && html`<${UsageHistory} id=${id} />`}
        <${Uses} one=${one} reload=${from.reload} />
        <${Facts} one=${one} />`;
    }}<//></div>`;
}
