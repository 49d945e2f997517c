// The accounts at model providers: how each is, how much of it is used, and all that is done with them.

import { Acts } from "../accounts/acts.js";
import { ImportDialog } from "../accounts/import.js";
import { AddDialog } from "../accounts/keys.js";
import { LoginDialog } from "../accounts/sign-in.js";
import { LoginState, UsedBy } from "../accounts/state.js";
import { Windows } from "../accounts/windows.js";
import { stateWords } from "../accounts/words.js";
import { me } from "../house.js";
import { html, useState } from "../lib.js";
import { Icon } from "../parts/icon.js";
import { leaveFilter } from "../parts/keys.js";
import { Empty } from "../parts/loaded.js";
import { nameOf, placeOf, usage, useAges, useProfiles } from "../profiles.js";
import { match } from "../router.js";
import { t } from "../strings.js";
import { Account } from "./account-one.js";
import { MANY } from "./admin/filter.js";
import { Shown } from "./admin/live.js";
import { fits } from "./order.js";

/**
 * @typedef {import("../profiles.js").Profile} Profile
 * @typedef {import("../profiles.js").Profiles} Profiles
 */

const RANK = { error: 0, disconnected: 1, connecting: 2, connected: 3 };

/** What is wrong first, then what is used most, then by name. @param {Profile[]} items */
function inOrder(items) {
  const rank = (/** @type {Profile} */ one) => RANK[/** @type {keyof typeof RANK} */ (stateWords(one).mark)] ?? 3;
  const used = (/** @type {Profile} */ one) => Math.max(0, ...(usage.value.get(one.id)?.windows ?? []).map(({ usedPercent }) => usedPercent));
  return items.toSorted((a, b) => rank(a) - rank(b) || Math.round((used(b) - used(a)) / 10) || a.id.localeCompare(b.id));
}

/** @param {{one: Profile, all: Profiles, reload: () => void}} props */
function Row({ one, all, reload }) {
  const asked = one.owner === "gateway" || (all.providers.find(({ id }) => id === one.provider)?.usage ?? false);
  return html`<li class="acct-row">
    <div class="acct-who"><p><a class="acct-name" data-row href=${placeOf(one.id)} dir="auto">${nameOf(one)}</a> <span class="muted">${one.providerName}</span></p>
      <${LoginState} one=${one} />
      <p class="small">${t("acct.usedBy")} <${UsedBy} ids=${one.bots} /></p></div>
    <${Windows} id=${one.id} asked=${asked} />
    <${Acts} one=${one} providers=${all.providers} reload=${reload} />
  </li>`;
}

/** @param {{all: Profiles, reload: () => void}} props */
function List({ all, reload }) {
  const [text, setText] = useState("");
  const words = (/** @type {Profile} */ one) => [one.id, nameOf(one), one.providerName, stateWords(one).text, ...one.bots].join(" ");
  const shown = inOrder(all.items).filter((one) => fits(words(one), text));
  return html`
    ${all.items.length > MANY && html`<input class="input filter acct-filter" type="search" data-filter aria-label=${t("acct.filter")} placeholder=${t("acct.filter")} value=${text}
      onInput=${(/** @type {any} */ event) => setText(event.target.value)} onKeyDown=${(/** @type {KeyboardEvent} */ event) => leaveFilter(event, () => setText(""))} />`}
    <ul class="acct-list" aria-label=${t("acct.title")}>${shown.map((one) => html`<${Row} key=${one.id} one=${one} all=${all} reload=${reload} />`)}</ul>
    ${shown.length === 0 && html`<p class="muted" role="status">${t("acct.filter.none")}</p>`}`;
}

/** What to do where there is nothing. @param {{all: Profiles, children: any}} props */
function Nothing({ all, children }) {
  const ways = all.providers.some(({ methods }) => methods.length > 0);
  return html`<${Empty} text=${t(ways ? "acct.empty" : "acct.empty.noProvider")}>${children}
    ${!ways && html`<pre class="acct-sample" tabindex="0" role="group" aria-label=${t("acct.sample.label")}>${t("acct.sample")}</pre>`}<//>`;
}

function Accounts() {
  const from = useProfiles();
  useAges();
  const [open, setOpen] = useState(/** @type {"login" | "add" | "import" | null} */ (null));
  const providers = from.value?.providers ?? [];
  const close = () => setOpen(null);
  const done = () => (close(), from.reload());
  const ways = providers.some(({ methods }) => methods.length > 0);
  const many = from.value !== null && from.value.items.length > 0;
  const buttons = html`
    ${ways && html`<button type="button" class="button primary" onClick=${() => setOpen("login")}>${t("acct.act.begin")}</button>`}
    <button type="button" class=${ways ? "button" : "button primary"} onClick=${() => setOpen("add")}>${ways ? null : html`<${Icon} name="add" />`}${t("acct.act.add")}</button>
    <button type="button" class="button" onClick=${() => setOpen("import")}>${t("acct.act.import")}</button>`;
  return html`<div class="acct">
    <header class="acct-head"><h1>${t("acct.title")}</h1>${many && html`<div class="actions">${buttons}</div>`}</header>
    <${Shown} from=${from}>${(/** @type {Profiles} */ all) => (all.items.length > 0 ? html`<${List} all=${all} reload=${from.reload} />` : html`<${Nothing} all=${all}><div class="actions">${buttons}</div><//>`)}<//>
    ${open === "login" && html`<${LoginDialog} providers=${providers} onClose=${close} onDone=${done} />`}
    ${open === "add" && html`<${AddDialog} providers=${providers} onClose=${close} onDone=${done} />`}
    ${open === "import" && html`<${ImportDialog} onClose=${close} onDone=${done} />`}
  </div>`;
}

/** @param {{path: string}} props */
export function AccountsPage({ path }) {
  if (!me.value?.admin) {
    return html`<div class="centred"><h1>${t("acct.closed.title")}</h1><p>${t("acct.closed.text")}</p><p><a class="button" href="/">${t("notFound.home")}</a></p></div>`;
  }
  const found = match("/accounts/:id", path);
  return found ? html`<${Account} key=${found.id} id=${found.id} />` : html`<${Accounts} />`;
}
