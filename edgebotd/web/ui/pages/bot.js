// One bot: how it is, its chat, and everything else that is known of it.

import { HaltDialog } from "../container/halt.js";
import { containers } from "../containers.js";
import { bots, known } from "../house.js";
import { html } from "../lib.js";
import { BotState, goingOn } from "../parts/container.js";
import { Icon } from "../parts/icon.js";
import { lazy } from "../parts/lazy.js";
import { Empty, Loading } from "../parts/loaded.js";
import { useHasAccount } from "../profiles.js";
import { t } from "../strings.js";
import { About } from "./bot-about.js";
import { ChatPage } from "./chat.js";

const ContainerTab = lazy(async () => (await import("./bot-container.js")).ContainerTab);
const AccountTab = lazy(async () => (await import("./bot-account.js")).AccountTab);
const TABS = /** @type {const} */ (["chat", "container", "account", "about"]);

/** @param {{botId: string, tab: string}} props */
export function BotPage({ botId, tab }) {
  const bot = bots.value.get(botId);
  const hasAccount = useHasAccount(botId);
  if (bot === undefined) {
    if (!known.value) return html`<${Loading} />`;
    return html`<div><h1 class="visually-hidden">${botId}</h1>
      <${Empty} text=${t("bot.absent", { id: botId })}><a class="button" href="/">${t("notFound.home")}</a><//></div>`;
  }
  const container = containers.value.get(botId);
  const does = goingOn(bot, container);
  const shown = TABS.find((one) => one === tab) ?? "chat";
  return html`<div class="bot-page">
    <header class="bot-bar">
      <a class="icon-button" href="/"><${Icon} name="back" label=${t("bot.back")} /></a>
      <div class="bot-who"><h1 class="cut" dir="auto">${bot.name}</h1>
        <p class="bot-now"><${BotState} bot=${bot} container=${container} />${does && html`<span class="cut muted">${does}</span>`}</p></div>
      <nav class="bot-tabs" aria-label=${bot.name}>${TABS.filter((one) => one === shown || (one === "container" ? container !== undefined : one !== "account" || hasAccount)).map(
        (one) => html`<a key=${one} href=${one === "chat" ? `/bots/${botId}` : `/bots/${botId}/${one}`} aria-current=${one === shown ? "page" : null}>${t(`bot.tab.${one}`)}</a>`,
      )}</nav>
    </header>
    ${shown === "chat" && html`<div class="bot-chat"><${ChatPage} botId=${botId} conversationId=${null} /></div>`}
    ${shown === "container" && html`<${ContainerTab} bot=${bot} container=${container} />`}
    ${shown === "account" && html`<${AccountTab} bot=${bot} />`}
    ${shown === "about" && html`<${About} bot=${bot} />`}
    <${HaltDialog} />
  </div>`;
}
