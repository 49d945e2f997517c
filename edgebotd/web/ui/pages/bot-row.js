// One bot in the list: how it is, what it does, what was said last, and a line to write to it.

import { AccountWord } from "../accounts/need.js";
import { containers } from "../containers.js";
import { Acts } from "../container/halt.js";
import { may, me } from "../house.js";
import { html } from "../lib.js";
import { Age } from "../parts/age.js";
import { BotState, goingOn } from "../parts/container.js";
import { Icon } from "../parts/icon.js";
import { Menu } from "../parts/menu.js";
import { plain } from "../plain.js";
import { favourites, toggleFavourite } from "../preferences.js";
import { t } from "../strings.js";
import { talk, writingOf } from "../talk.js";
import { QuickChat } from "./quick-chat.js";

/** What it writes now, else what was said last. @param {{botId: string}} props */
function Said({ botId }) {
  const writing = writingOf(botId).value;
  const last = talk.value.get(botId)?.last;
  if (writing !== null) {
    // Its end is what is new, so the line is cut at its beginning. Read out is the whole, when it is there.
    return html`<span class="last-said tail" aria-hidden="true"><span dir="auto">${plain(writing.tail)}<i class="caret"></i></span></span>`;
  }
  if (!last) return html`<span class="last-said muted">${t("dash.nothingSaid")}</span>`;
  const failed = last.state === "failed" || last.state === "interrupted" || last.state === "aborted";
  return html`<a class="last-said" href=${`/chat/${botId}/${last.conversationId}`} title=${last.text}>
    ${last.role === "user" && html`<span class="muted">${last.userId === me.value?.userId ? t("dash.you") : t("dash.other", { name: last.userId ?? t("dash.somebody") })} </span>`}<span dir="auto">${last.text || t("dash.noText")}</span>
    ${failed && html`<span class="muted"> · ${t(`dash.${/** @type {"failed" | "interrupted" | "aborted"} */ (last.state)}`)}</span>`}</a>`;
}

/** @param {{bot: import("../house.js").Bot}} props */
export function BotRow({ bot }) {
  const { botId, name } = bot;
  const starred = favourites.value.has(botId);
  const { unread = 0, last = null } = talk.value.get(botId) ?? {};
  const container = containers.value.get(botId);
  const does = goingOn(bot, container);
  return html`<div class="bot-row" role="row">
    <div role="cell" class="c-star"><button type="button" class=${`icon-button ${starred ? "starred" : ""}`} aria-pressed=${starred} onClick=${() => toggleFavourite(botId)}>
      <${Icon} name="star" filled=${starred} label=${t("dash.favourite", { name })} /></button></div>
    <div role="rowheader" class="c-name"><a data-row href=${`/bots/${botId}`} class="cut" dir="auto" title=${name}>${name}</a>
      ${unread > 0 && html`<span class="count">${unread > 99 ? "99+" : unread}<span class="visually-hidden"> ${t("nav.unread")}</span></span>`}</div>
    <div role="cell" class="c-state"><${BotState} bot=${bot} container=${container} /><${AccountWord} botId=${botId} /></div>
    <div role="cell" class=${does ? "c-doing" : "c-doing muted resting"}><span class="cut" title=${does}>${does ?? t("doing.idle")}</span></div>
    <div role="cell" class="c-said"><${Said} botId=${botId} /></div>
    <div role="cell" class="c-age muted">${last ? html`<${Age} at=${last.at} />` : html`<span aria-hidden="true">–</span>`}</div>
    <div role="cell" class="c-quick">${may(botId, "chat") ? html`<${QuickChat} bot=${bot} />` : html`<span class="muted small">${t("dash.viewOnly")}</span>`}</div>
    <div role="cell" class="c-more">${container && may(botId, "operate") && html`<${Menu} label=${t("cont.menu", { name })}>
      <${Acts} bot=${bot} className="" /><a href=${`/bots/${botId}/container`}>${t("cont.open")}</a><//>`}</div>
  </div>`;
}
