// The frame around every page: where one can go, how the line is, and the page itself.

import { signedOut } from "../api.js";
import { bots, me, surface } from "../house.js";
import { html, useEffect, useRef } from "../lib.js";
import { match, route } from "../router.js";
import { t } from "../strings.js";
import { unreadTotal } from "../talk.js";
import { Dashboard } from "../pages/dashboard.js";
import { MeMenu } from "../pages/settings.js";
import { Guard } from "./guard.js";
import { Icon } from "./icon.js";
import { Keys, PALETTE_KEY, paletteShown } from "./keys.js";
import { lazy } from "./lazy.js";
import { Line, Strip } from "./strip.js";
import { Toasts } from "./toast.js";

const BotPage = lazy(async () => (await import("../pages/bot.js")).BotPage, { likely: true });
const ChatPage = lazy(async () => (await import("../pages/chat.js")).ChatPage, { likely: true });
const Palette = lazy(async () => (await import("./palette.js")).Palette, { likely: true, waiting: null });
const OperationsPage = lazy(async () => (await import("../pages/operations.js")).OperationsPage);
const AccountsPage = lazy(async () => (await import("../pages/accounts.js")).AccountsPage);
const AdminPage = lazy(async () => (await import("../pages/admin.js")).AdminPage);

/**
 * @typedef {{content: any, title: string, fill?: boolean, bare?: boolean}} View `fill`: it scrolls inside, and owns a small
 *   screen; `bare`: it has no heading of its own
 */

/** What a path shows on this host. @param {string} path @returns {View} */
function view(path) {
  const home = surface.value;
  const name = (/** @type {string | null} */ id) => (id === null ? t("nav.chat") : (bots.value.get(id)?.name ?? id));
  const chat = match("/chat", path) ?? match("/chat/:bot", path) ?? match("/chat/:bot/:conversation", path);
  if (home === "bot") {
    const botId = me.value?.hostBotId ?? null;
    const conversationId = chat?.bot === botId ? (chat?.conversation ?? null) : null;
    return { content: html`<${ChatPage} key=${botId} botId=${botId} conversationId=${conversationId} />`, title: name(botId), fill: true, bare: true };
  }
  if (chat || (home === "chat" && path === "/")) {
    const botId = chat?.bot ?? null;
    return { content: html`<${ChatPage} botId=${botId} conversationId=${chat?.conversation ?? null} />`, title: name(botId), fill: true, bare: true };
  }
  if (home === "dashboard") {
    const found = match("/bots/:id", path) ?? match("/bots/:id/:tab", path);
    if (path === "/") return { content: html`<${Dashboard} />`, title: t("nav.dashboard") };
    if (found) return { content: html`<${BotPage} key=${found.id} botId=${found.id} tab=${found.tab ?? "chat"} />`, title: name(found.id), fill: true };
    if (path === "/accounts" || path.startsWith("/accounts/")) return { content: html`<${AccountsPage} path=${path} />`, title: t("nav.accounts") };
    if (path === "/admin" || path.startsWith("/admin/")) return { content: html`<${AdminPage} path=${path} />`, title: t("nav.admin") };
    if (path.startsWith("/operations/")) return { content: html`<${OperationsPage} path=${path} />`, title: t("admin.operations") };
    if (path === "/account") return { content: html`<${AdminPage} path=${path} />`, title: t("nav.account") };
  }
  return {
    content: html`<div class="centred"><h1>${t("notFound.title")}</h1><p>${t("notFound.text")}</p><p><a class="button" href="/">${t("notFound.home")}</a></p></div>`,
    title: t("notFound.title"),
  };
}

/** @param {{to: string, icon: import("./icon.js").IconName, children: any, inside?: string[]}} props */
function Tab({ to, icon, children, inside = [] }) {
  const here = route.value === to || inside.some((path) => route.value === path || route.value.startsWith(`${path}/`));
  return html`<a href=${to} aria-current=${here ? "page" : null}><${Icon} name=${icon} /><span>${children}</span></a>`;
}

function Navigation() {
  const unread = unreadTotal.value;
  return html`<nav aria-label=${t("nav.main")}>
    <${Tab} to="/" icon="bots" inside=${["/bots"]}>${t("nav.dashboard")}<//>
    <${Tab} to="/chat" icon="chat" inside=${["/chat"]}>${t("nav.chat")}${unread > 0 && html` <span class="count">${unread}<span class="visually-hidden"> ${t("nav.unread")}</span></span>`}<//>
    ${me.value?.admin && html`<${Tab} to="/accounts" icon="key" inside=${["/accounts"]}>${t("nav.accounts")}<//>`}
    ${me.value?.admin && html`<${Tab} to="/admin" icon="gear" inside=${["/admin", "/operations"]}>${t("nav.admin")}<//>`}
  </nav>`;
}

export function Shell() {
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const first = useRef(true);
  const { content, title, fill, bare } = view(route.value);
  const unread = unreadTotal.value;
  useEffect(() => {
    document.title = `${unread > 0 ? `(${unread}) ` : ""}${title} · edgebotd`;
  }, [title, unread]);
  useEffect(() => {
    // Where the focus was is gone with the old page: the next Tab begins in the new one.
    if (!first.current && (document.activeElement === null || document.activeElement === document.body)) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [route.value]);
  const skip = (/** @type {Event} */ event) => {
    event.preventDefault();
    main.current?.focus();
  };
  return html`
    <div class=${`frame ${fill ? "filled" : ""} on-${surface.value}`}>
      <a class="skip" href="#main" onClick=${skip}>${t("nav.skip")}</a>
      <header class="top">
        ${surface.value === "bot" ? html`<strong class="brand">${title}</strong>` : html`<a class="brand" href="/">edgebotd</a>`}
        ${surface.value === "dashboard" ? html`<${Navigation} />` : html`<span class="grow"></span>`}
        <button type="button" class="find" aria-keyshortcuts="Control+K Meta+K" onClick=${() => (paletteShown.value = true)}>
          <${Icon} name="search" /><span class="wide">${t("find.open")}</span><span class="visually-hidden narrow">${t("find.open")}</span><kbd class="wide">${PALETTE_KEY}</kbd></button>
        <${Line} />
        <${MeMenu} />
      </header>
      <${Strip} />
      <main ref=${main} class="page" id=${signedOut.value ? null : "main"} tabindex="-1">${bare && html`<h1 class="visually-hidden">${title}</h1>`}<${Guard}>${content}<//></main>
      <p class="visually-hidden" role="status">${title}</p>
      ${paletteShown.value && html`<${Palette} />`}
      <${Keys} />
      <${Toasts} />
    </div>`;
}
