// What of the containers needs a person: the engine, alerts, what is gone, what is not as it should be.

import { actsOn, alerts, containers, engine } from "../containers.js";
import { startBot } from "../container/halt.js";
import { bots, me, needsPerson } from "../house.js";
import { html, signal } from "../lib.js";
import { Age } from "../parts/age.js";
import { Mark } from "../parts/state.js";
import { placeOf } from "../profiles.js";
import { t } from "../strings.js";

/**
 * @typedef {import("../containers.js").Container} Container
 * @typedef {import("../containers.js").Alert} Alert
 * @typedef {{key: string, bad: boolean, node: any}} Needed
 * @typedef {{mark: string, title: any, at?: number, since?: string, text?: string | null, children?: any}} ItemProps `since`: what began at `at`, where its title would be taken to be that
 */

const STORED = "edgebotd.drift.left";
const MARKS = { critical: "error", warning: "disconnected", info: "unknown" };
const RANK = { critical: 0, warning: 1, info: 2 };

/** What of the drift was looked at, and left so on this device. */
const left = signal(new Set(/** @type {string[]} */ (JSON.parse(localStorage.getItem(STORED) ?? "[]"))));

/** @param {string[]} texts */
function leave(texts) {
  // Only what is there now: what goes and comes again is to be looked at again.
  localStorage.setItem(STORED, JSON.stringify(texts));
  left.value = new Set(texts);
}

/** @param {ItemProps} props */
function Item({ mark, title, at, since, text, children }) {
  return html`<li class="need"><${Mark} state=${mark} />
    <div class="need-words"><p>${title}${at !== undefined && html` <span class="muted">${since && `· ${since} `}<${Age} at=${at} /></span>`}</p>${text && html`<p>${text}</p>`}</div>
    ${children && html`<div class="need-do">${children}</div>`}</li>`;
}

/** @param {string} botId */
const place = (botId) => (containers.value.has(botId) ? `/bots/${botId}/container` : `/bots/${botId}/about`);

/** @param {{botId: string}} props */
function Start({ botId }) {
  const container = containers.value.get(botId);
  if (!container || !actsOn(container).start) return null;
  return html`<button type="button" class="button" onClick=${() => startBot(botId, bots.value.get(botId)?.name ?? botId)}>${t("cont.start")}</button>`;
}

/** @returns {Needed[]} */
function ofEngine() {
  const now = engine.value;
  if (!me.value?.admin || now === null || (now.state !== "down" && now.state !== "frozen")) return [];
  const node = html`<${Item} key="engine" mark="error" title=${html`<strong>${t("needs.engine")}</strong>`} at=${now.sinceAt} text=${now.detail ?? t(`needs.engine.${now.state}`)} />`;
  return [{ key: "engine", bad: true, node }];
}

/** Where one sees what an alert of an account is about: its id tells which. @param {string} alertId */
function accountOf(alertId) {
  const [kind, provider, name] = alertId.split(":");
  return kind === "profile" && name !== undefined ? placeOf(`${provider}:${name}`) : null;
}

/** @returns {Needed[]} */
function ofAlerts() {
  const all = [...alerts.value.values()].sort((a, b) => RANK[a.severity] - RANK[b.severity] || b.at - a.at);
  // A bot that asks for a person by itself says more than that it is away.
  const said = (/** @type {Alert} */ one) => needsPerson(/** @type {any} */ (bots.value.get(String(one.botId)))) && one.alertId === `bot:${one.botId}:down`;
  return all.filter((one) => !one.botId || (bots.value.has(one.botId) && !said(one))).map((one) => {
    const { alertId, botId, title } = one;
    const to = botId ? place(botId) : accountOf(alertId);
    const node = html`<${Item} key=${alertId} mark=${MARKS[one.severity]} at=${one.at} since=${t("needs.open")} text=${one.detail}
      title=${to ? html`<a data-row href=${to}>${title}</a>` : html`<strong>${title}</strong>`}>${to && html`${botId && html`<${Start} botId=${botId} />`}
      <a class="link" href=${to}>${t("needs.look")}</a>`}<//>`;
    return { key: alertId, bad: one.severity === "critical", node };
  });
}

/** Of a container that no alert tells of. @param {Container} one @returns {Needed[]} */
function ofContainer(one) {
  const botId = String(one.botId);
  const bot = bots.value.get(botId);
  const why = one.crashLoop ? t("needs.crashLoop") : one.state === "missing" && !one.doing ? (one.detail ?? t("needs.missing")) : null;
  if (bot === undefined || why === null || [...alerts.value.values()].some((alert) => alert.botId === botId)) return [];
  const node = html`<${Item} key=${`of ${botId}`} mark="error" at=${one.sinceAt} text=${why} title=${html`<a data-row href=${place(botId)} dir="auto">${bot.name}</a>`}>
    <${Start} botId=${botId} /><a class="link" href=${place(botId)}>${t("needs.look")}</a><//>`;
  return [{ key: `of ${botId}`, bad: true, node }];
}

/** All together: one line, as one decision. @returns {Needed[]} */
function ofDrift() {
  if (!me.value?.admin) return [];
  const drifted = [...containers.value.values()].filter((one) => one.drift.length > 0 && bots.value.has(String(one.botId)));
  const texts = drifted.flatMap((one) => one.drift.map((text) => `${one.botId} ${text}`));
  if (texts.every((text) => left.value.has(text))) return [];
  const names = drifted.map((one, index) => html`${index > 0 && ", "}<a data-row=${index === 0} key=${one.botId} href=${place(String(one.botId))} dir="auto">${bots.value.get(String(one.botId))?.name}</a>`);
  const text = drifted.length === 1 ? drifted[0].drift[0] : null;
  const node = html`<${Item} key="drift" mark="disconnected" title=${html`${names}`} text=${[t("needs.drift"), text].filter(Boolean).join(" ")}>
    <button type="button" class="button" onClick=${() => leave(texts)}>${t("needs.drift.leave")}</button><//>`;
  return [{ key: "drift", bad: false, node }];
}

/** The worst first. @returns {Needed[]} */
export const containerNeeds = () => [...ofEngine(), ...ofAlerts(), ...[...containers.value.values()].flatMap(ofContainer), ...ofDrift()];
