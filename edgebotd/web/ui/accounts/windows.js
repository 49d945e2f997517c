// How much of an account is used: a bar for each window, with the share of its time on the same scale.

import { html, useState } from "../lib.js";
import { Age } from "../parts/age.js";
import { say, sayError } from "../parts/toast.js";
import { askNow, usage } from "../profiles.js";
import { language, t } from "../strings.js";
import { billingWords, over, paceWords, passed, resetWords, troubleWords } from "./words.js";

/**
 * @typedef {import("../profiles.js").Usage} Usage
 * @typedef {import("../profiles.js").Window} Window
 */

const NEAR = 80;
const FULL = 95;

/** @param {number} value */
export const percent = (value) => t("use.percent", { n: new Intl.NumberFormat(language.value, { maximumFractionDigits: value > 0 && value < 10 ? 1 : 0 }).format(value) });

/** @param {number} value */
const level = (value) => (value >= FULL ? "bad" : value >= NEAR ? "warn" : "");

/** @param {{window: Window, old: boolean}} props `old`: the figure is not renewed at present */
function Bar({ window, old }) {
  const { label, usedPercent } = window;
  const gone = over(window);
  const share = passed(window);
  // What is not renewed has no pace any more.
  const pace = old ? null : paceWords(window);
  const reset = resetWords(window);
  const said = [percent(usedPercent), old || gone ? t("acct.lastKnown") : null, share !== null && pace?.bad ? t("acct.passed", { n: Math.round(share * 100) }) : null, pace?.text, reset].filter(Boolean).join(", ");
  return html`<div class="acct-window">
    <p class="acct-window-head"><span class="cut">${label}</span><strong class=${old || gone ? "muted" : level(usedPercent)}>${percent(usedPercent)}</strong></p>
    <div class=${`acct-bar ${old || gone ? "old" : level(usedPercent)}`} role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax="100"
      aria-valuenow=${Math.min(100, Math.max(0, usedPercent))} aria-valuetext=${said}>
      <span class="acct-used" style=${{ inlineSize: `${Math.min(100, Math.max(0, usedPercent))}%` }}></span>
      ${share !== null && html`<span class="acct-passed" style=${{ insetInlineStart: `${share * 100}%` }}></span>`}</div>
    <p class="acct-window-foot small" aria-hidden="true">${pace && html`<span class=${pace.bad ? "bad" : "muted"}>${pace.text}</span>`}
      ${reset && html`<span class="muted">${reset}</span>`}</p>
  </div>`;
}

/** A button that asks the provider now, or says when it may be asked. @param {{id: string}} props */
function AskNow({ id }) {
  const [busy, setBusy] = useState(false);
  async function ask() {
    setBusy(true);
    try {
      const { error } = await askNow(id);
      say(error ? error.detail : t("acct.ask.done", { name: id }), { bad: Boolean(error) });
    } catch (error) {
      sayError(error);
    } finally {
      setBusy(false);
    }
  }
  return html`<button type="button" class="link" disabled=${busy} onClick=${ask}>${t(busy ? "acct.ask.busy" : "acct.ask")}<span class="visually-hidden"> ${id}</span></button>`;
}

/** @param {{of: Usage, asked: boolean | null}} props */
function Foot({ of: one, asked }) {
  const trouble = troubleWords(one);
  const billing = one.billing.map((each) => billingWords(each, language.value));
  return html`
    ${billing.length > 0 && html`<p class="acct-billing small">${billing.join(" · ")}</p>`}
    ${trouble && html`<p class="acct-trouble small"><span class="warn">${trouble}</span></p>`}
    <p class="small muted">${[one.plan && html`<span>${t("acct.plan", { plan: one.plan })}</span>`,
      one.fetchedAt ? html`<span>${t("acct.usage.age")} <${Age} at=${one.fetchedAt} /></span>` : null,
      asked && !(one.error?.kind === "auth" && !one.error.status) ? html`<${AskNow} id=${one.profileId} />` : null].filter(Boolean).map((part, index) => html`${index > 0 && " · "}${part}`)}</p>`;
}

/**
 * @param {{id: string, asked: boolean | null}} props `asked`: whether its provider is asked how much is used; null where I may not know
 */
export function Windows({ id, asked }) {
  const one = usage.value.get(id);
  if (one === undefined) return html`<p class="small muted">${t(asked === false ? "acct.usage.notAsked" : "acct.usage.none")} ${asked && html`<${AskNow} id=${id} />`}</p>`;
  const empty = one.windows.length === 0 && one.billing.length === 0;
  if (asked === false && empty) return html`<p class="small muted">${t("acct.usage.notAsked")}</p>`;
  return html`<div class="acct-windows">
    ${one.windows.map((each) => html`<${Bar} key=${each.id} window=${each} old=${Boolean(one.error)} />`)}
    ${empty && !one.error && html`<p class="small muted">${t(one.fetchedAt ? "acct.usage.nothing" : "acct.usage.none")}</p>`}
    <${Foot} of=${one} asked=${asked} /></div>`;
}
