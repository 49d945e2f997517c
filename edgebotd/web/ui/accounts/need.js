// Which of the accounts that a bot uses somebody should look at: a login that is not well, a window that nears its end.

import { html } from "../lib.js";
import { Mark } from "../parts/state.js";
import { usage } from "../profiles.js";
import { t } from "../strings.js";

/**
 * @typedef {import("../profiles.js").Usage} Usage
 * @typedef {{bad: boolean, percent: number, text: string, detail: string | null}} Need `bad`: its bots are stopped by it
 */

const NEAR = 80;
const FULL = 100;

/** Null while all is well, and while it may well mend by itself. @param {Usage} one @returns {Need | null} */
export function needOf({ profileId: name, windows, error }) {
  // One that was refused has a status, and needs somebody though it is asked again.
  if (error?.kind === "auth" && (error.status || !error.retryAt)) return { bad: true, percent: Infinity, text: t("dash.account.unwell", { name }), detail: error.detail };
  const open = windows.filter(({ resetsAt, usedPercent }) => usedPercent >= NEAR && (!resetsAt || resetsAt > Date.now()));
  if (open.length === 0) return null;
  const most = open.reduce((a, b) => (b.usedPercent > a.usedPercent ? b : a));
  const { usedPercent: percent, label } = most;
  return { bad: percent >= FULL, percent, text: t("sys.account", { name, label, n: Math.floor(percent) }), detail: null };
}

/** What of a bot's accounts needs somebody, the worst first. @param {string} botId @returns {Need[]} */
export const accountNeeds = (botId) =>
  [...usage.value.values()].filter(({ botIds }) => botIds?.includes(botId)).map(needOf).filter((one) => one !== null).sort((a, b) => b.percent - a.percent);

/** The worst in words, and how many more there are. Nothing while all is well. @param {{botId: string}} props */
export function AccountWord({ botId }) {
  const [worst, ...others] = accountNeeds(botId);
  if (worst === undefined) return null;
  return html`<a class="acct-word" href=${`/bots/${botId}/account`} title=${worst.detail}><${Mark} state=${worst.bad ? "error" : "disconnected"} /><span class="cut">${worst.text}</span>
    ${others.length > 0 && html`<span class="muted">${t("dash.account.more", { count: others.length })}</span>`}</a>`;
}
