// Every bot at a glance: what needs somebody, how each is, what it does, what was said last.

import { accountNeeds } from "../accounts/need.js";
import { HaltDialog } from "../container/halt.js";
import { alerts, containers, inTrouble } from "../containers.js";
import { botList, busy, known, me, needsPerson } from "../house.js";
import { html, useEffect, useMemo, useState } from "../lib.js";
import { Icon } from "../parts/icon.js";
import { containerWords, goingOn } from "../parts/container.js";
import { leaveFilter } from "../parts/keys.js";
import { lazy } from "../parts/lazy.js";
import { Empty, Loading } from "../parts/loaded.js";
import { favourites } from "../preferences.js";
import { navigate, search } from "../router.js";
import { t } from "../strings.js";
import { talk } from "../talk.js";
import { BotRow } from "./bot-row.js";
import { Needs } from "./needs.js";
import { fits, ordered, SORTS } from "./order.js";
import { SystemStrip } from "./system-strip.js";

const ConnectDialog = lazy(async () => (await import("./connect.js")).ConnectDialog, { likely: true, waiting: null });
const AddDialog = lazy(async () => (await import("./add.js")).AddDialog, { likely: true, waiting: null });
const STORED = "edgebotd.sort";

/** @typedef {import("./order.js").Sort} Sort */

/** What a filter looks at. @param {import("../house.js").Bot} bot */
function words(bot) {
  const container = containers.value.get(bot.botId);
  const said = talk.value.get(bot.botId)?.last?.text ?? "";
  return [bot.name, bot.botId, bot.kind, t(`state.${bot.state}`), container ? containerWords(container, bot.state === "connected").text : "", goingOn(bot, container) ?? "", said, ...accountNeeds(bot.botId).map(({ text }) => text)].join(" ");
}

function Head() {
  return html`<div class="bot-row bot-head" role="row">
    <span role="columnheader" class="c-star"><span class="visually-hidden">${t("dash.col.favourite")}</span></span>
    <span role="columnheader" class="c-name">${t("dash.col.bot")}</span><span role="columnheader" class="c-state">${t("dash.col.state")}</span>
    <span role="columnheader" class="c-doing">${t("dash.col.doing")}</span><span role="columnheader" class="c-said">${t("dash.col.last")}</span>
    <span role="columnheader" class="c-age"><span class="visually-hidden">${t("dash.col.age")}</span></span>
    <span role="columnheader" class="c-quick">${t("dash.col.quick")}</span>
    <span role="columnheader" class="c-more"><span class="visually-hidden">${t("dash.col.more")}</span></span></div>`;
}

/** @param {{sort: Sort, text: string, all: () => void}} props `all` shows every bot again */
function Bots({ sort, text, all }) {
  const list = botList.value;
  const trouble = (/** @type {string} */ id) => inTrouble(containers.value.get(id)) || accountNeeds(id).some(({ bad }) => bad) || [...alerts.value.values()].some((alert) => alert.botId === id);
  // Rows keep their places while bots merely begin and end something: what is looked at must not jump away.
  const key = list.map((bot) => `${bot.botId} ${bot.name} ${needsPerson(bot) || trouble(bot.botId) ? "!" : bot.state === "disconnected"} ${sort === "busy" && busy(bot)}`).join();
  const order = useMemo(() => {
    const usedAt = (/** @type {string} */ id) => talk.value.get(id)?.last?.at ?? 0;
    return ordered(list, sort, { favourites: favourites.value, usedAt, trouble }).map((bot) => bot.botId);
  }, [key, sort, favourites.value, talk.value.size]);
  const byId = new Map(list.map((bot) => [bot.botId, bot]));
  const shown = order.map((id) => byId.get(id)).filter((bot) => bot !== undefined).filter((bot) => fits(words(bot), text));
  return html`<div class="bots" role="table" aria-label=${t("dash.title")}><div role="rowgroup"><${Head} /></div>
      <div role="rowgroup">${shown.map((bot) => html`<${BotRow} key=${bot.botId} bot=${bot} />`)}</div></div>
    <div class=${shown.length ? "visually-hidden" : "none"}><p role="status">${text.trim() ? t("dash.found", { count: shown.length }) : ""}</p>
      ${shown.length === 0 && html`<button type="button" class="button" onClick=${all}>${t("dash.filter.clear")}</button>`}</div>`;
}

/** @param {{sort: Sort, setSort: (sort: Sort) => void, text: string, setText: (text: string) => void}} props */
function Bar({ sort, setSort, text, setText }) {
  return html`<div class="dash-bar"><h1>${t("dash.title")}</h1>
    <input class="input filter" type="search" data-filter aria-label=${t("dash.filter")} placeholder=${t("dash.filter")} value=${text}
      onInput=${(/** @type {any} */ event) => setText(event.target.value)}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => leaveFilter(event, () => setText(""))} />
    <label class="sort"><span class="visually-hidden">${t("dash.sort")}</span>
      <select class="input" value=${sort} onChange=${(/** @type {any} */ event) => setSort(event.target.value)}>
        ${SORTS.map((one) => html`<option key=${one} value=${one}>${t(`dash.sort.${one}`)}</option>`)}</select></label>
    ${me.value?.admin && html`<a class="button" href="/?add"><${Icon} name="add" /><span class="wide">${t("add.title")}</span><span class="visually-hidden narrow">${t("add.title")}</span></a>`}
  </div>`;
}

export function Dashboard() {
  const [text, setText] = useState("");
  const [sort, choose] = useState(/** @type {Sort} */ (SORTS.find((one) => one === localStorage.getItem(STORED)) ?? "attention"));
  useEffect(() => {
    if (known.value && performance.getEntriesByName("edgebotd:interactive").length === 0) performance.mark("edgebotd:interactive");
  }, [known.value]);
  const setSort = (/** @type {Sort} */ one) => {
    localStorage.setItem(STORED, one);
    choose(one);
  };
  const none = known.value && botList.value.length === 0;
  return html`<div class="dash">
    <${Needs} />
    ${none ? html`<h1 class="visually-hidden">${t("dash.title")}</h1>` : html`<${Bar} sort=${sort} setSort=${setSort} text=${text} setText=${setText} />`}
    ${!known.value
      ? html`<${Loading} rows=${4} />`
      : none
        ? html`<${Empty} text=${t(me.value?.admin ? "dash.empty" : "dash.emptyForYou")}>
            ${me.value?.admin && html`<a class="button primary" href="/?add">${t("add.title")}</a>`}<//>`
        : html`<${Bots} sort=${sort} text=${text} all=${() => setText("")} />`}
    <${SystemStrip} />
    <${HaltDialog} />
    ${search.value.has("add") && me.value?.admin && html`<${AddDialog} onClose=${() => search.value.has("add") && navigate("/", { replace: true })} />`}
    ${search.value.has("connect") && me.value?.admin && html`<${ConnectDialog} onClose=${() => navigate("/", { replace: true })} />`}
  </div>`;
}
