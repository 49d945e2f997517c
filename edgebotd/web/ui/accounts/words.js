// How a login is, in words; shape and colour repeat them. Pure but for the clock and the language.

import { t } from "../strings.js";
import { moment, now, span } from "../time.js";

/**
 * @typedef {import("../profiles.js").Profile} Profile
 * @typedef {import("../profiles.js").Usage} Usage
 * @typedef {import("../profiles.js").Window} Window
 * @typedef {import("../profiles.js").Billing} Billing
 * @typedef {{mark: string, text: string}} Words
 */

/** Near its end a token is said to expire. */
const NEAR_MS = 300_000;

/** @type {Record<string, string>} */
const MARKS = { refreshing: "connecting", backoff: "disconnected", uncertain: "disconnected", needs_login: "error", misconfigured: "error" };

/** @param {Profile} one @returns {Words} */
export function stateWords(one) {
  const ended = one.expired || (one.expiresAt !== null && one.expiresAt <= now.value);
  // Others refresh it: what is known is when it ends.
  if (one.owner === "gateway" || one.owner === "external") {
    if (one.state in MARKS && one.state !== "refreshing") return { mark: MARKS[one.state], text: t(`acct.state.${one.state}`) };
    return ended ? { mark: "disconnected", text: t("acct.state.watchedEnded") } : { mark: "connected", text: t("acct.state.watched") };
  }
  if (one.state in MARKS) return { mark: MARKS[one.state], text: t(`acct.state.${one.state}`) };
  if (ended) return { mark: "error", text: t("acct.state.ended") };
  if (one.state === "static") return { mark: "connected", text: t("acct.state.static") };
  const near = one.expiresAt !== null && one.expiresAt - now.value < NEAR_MS;
  return near ? { mark: "connecting", text: t("acct.state.expiring") } : { mark: "connected", text: t("acct.state.fresh") };
}

/** When it is refreshed, or ends; null where neither is known. @param {Profile} one @returns {string | null} */
export function nextWords(one) {
  const end = one.expiresAt;
  if (one.owner === "edgebotd" && one.type === "oauth" && one.nextAt !== null && one.state !== "needs_login" && one.state !== "misconfigured") {
    return one.nextAt > now.value ? t("acct.next", { time: moment(one.nextAt), span: span(one.nextAt - now.value) }) : t("acct.next.due");
  }
  // Whoever may not know when it is refreshed is not told that it ends.
  if (one.owner === null && one.type === "oauth") return null;
  if (end === null) return one.type === "api_key" ? t("acct.endless") : null;
  return end > now.value ? t(one.type === "oauth" ? "acct.goodUntil" : "acct.ends", { time: moment(end), span: span(end - now.value) }) : t("acct.ended", { time: moment(end) });
}

/** Whether somebody has to log in, or to bring another secret. @param {Profile} one */
export const wantsLogin = (one) => one.state === "needs_login" || (one.expired && (one.state === "static" || one.state === "fresh"));

/** The share of a window's time that has passed, of 0 to 1; null where it is not known. @param {Window} one */
export function passed(one) {
  if (!one.windowSeconds || !one.resetsAt) return null;
  const left = (one.resetsAt - now.value) / (one.windowSeconds * 1000);
  return left < 0 || left > 1 ? null : 1 - left;
}

/** Whether the window has begun anew since its figure was told. @param {Window} one */
export const over = (one) => one.resetsAt !== null && one.resetsAt !== undefined && one.resetsAt <= now.value;

/** When it starts anew. @param {Window} one @returns {string | null} */
export function resetWords(one) {
  if (!one.resetsAt) return null;
  if (over(one)) return t("acct.over", { time: moment(one.resetsAt) });
  return t("acct.resets", { time: moment(one.resetsAt), span: span(one.resetsAt - now.value) });
}

/** How fast it goes: never more than is known. @param {Window} one @returns {{text: string, bad: boolean} | null} */
export function paceWords(one) {
  if (over(one)) return null;
  if (one.usedPercent >= 100) return { text: t("acct.full"), bad: true };
  if (one.runsOutAt) {
    const soon = one.runsOutAt <= now.value;
    return { text: soon ? t("acct.runsOut.now") : t("acct.runsOut", { time: moment(one.runsOutAt) }), bad: true };
  }
  const share = passed(one);
  return share === null ? null : { text: t("acct.passed", { n: Math.round(share * 100) }), bad: false };
}

/** Why the figures are not renewed, and what comes; null while all is well. @param {Usage} one */
export function troubleWords(one) {
  const { error } = one;
  if (!error) return null;
  const again = error.retryAt && error.retryAt > now.value ? ` ${t("acct.usage.again", { time: moment(error.retryAt) })}` : "";
  return `${one.fetchedAt ? t("acct.usage.trouble", { span: span(now.value - error.sinceAt) }) : t("acct.usage.none")} ${error.detail}${again}`;
}

/** @param {number} amount @param {string} unit @param {string} language */
function money(amount, unit, language) {
  if (/^[A-Z]{3}$/.test(unit)) {
    try {
      return new Intl.NumberFormat(language, { style: "currency", currency: unit }).format(amount);
    } catch {
      // Three letters that are no currency.
    }
  }
  return `${new Intl.NumberFormat(language, { maximumFractionDigits: 2 }).format(amount)} ${unit}`;
}

/** @param {Billing} one @param {string} language */
export function billingWords(one, language) {
  const shown = (/** @type {number | null | undefined} */ amount) => (amount === null || amount === undefined ? "–" : money(amount, one.unit, language));
  const words =
    one.type === "balance" ? t("acct.balance", { amount: shown(one.amount) })
    : one.type === "budget" ? t("acct.budget", { used: shown(one.used), limit: shown(one.limit) })
    : t("acct.spend", { used: shown(one.used) });
  return one.period ? `${words} (${one.period})` : words;
}
