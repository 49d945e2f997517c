// The frame around every page: where one can go, how the line is, and the page itself.

import { call } from "../api.js";
import { me } from "../house.js";
import { html } from "../lib.js";
import { match, route } from "../router.js";
import { socket } from "../socket.js";
import { t } from "../strings.js";
import { AdminPage } from "../pages/admin.js";
import { BotPage } from "../pages/bot.js";
import { ChatPage } from "../pages/chat.js";
import { Dashboard } from "../pages/dashboard.js";
import { Toasts } from "./toast.js";

async function signOut() {
  socket.stop();
  await call("POST", "/api/logout").catch(() => {});
  location.assign("/");
}

/** How the line is, while that needs saying. */
function Strip() {
  const { phase } = socket.state.value;
  if (phase === "live" || phase === "idle") return html`<div role="status" class="visually-hidden">${t(`line.${phase}`)}</div>`;
  return html`<div role="status" class="strip">${t(`line.${phase}`)}</div>`;
}

/** @param {{to: string, children: any, inside?: boolean}} props */
function Tab({ to, children, inside }) {
  const here = route.value === to || (inside && route.value.startsWith(`${to}/`));
  return html`<a href=${to} aria-current=${here ? "page" : null}>${children}</a>`;
}

function Page() {
  const path = route.value;
  const found = match("/bots/:id", path) ?? match("/bots/:id/:tab", path);
  if (path === "/") return html`<${Dashboard} />`;
  if (found) return html`<${BotPage} key=${found.id} botId=${found.id} tab=${found.tab ?? "chat"} />`;
  if (path === "/chat" || path.startsWith("/chat/")) {
    const [, , botId, conversationId] = path.split("/");
    return html`<${ChatPage} botId=${botId ?? null} conversationId=${conversationId ?? null} />`;
  }
  if (path === "/admin" || path.startsWith("/admin/") || path === "/account") return html`<${AdminPage} path=${path} />`;
  return html`<div class="centred"><h1>${t("notFound.title")}</h1><p>${t("notFound.text")}</p><a href="/">${t("notFound.home")}</a></div>`;
}

export function Shell() {
  return html`
    <div class="frame">
      <header class="top">
        <strong>edgebotd</strong>
        <nav aria-label=${t("nav.main")}>
          <${Tab} to="/">${t("nav.dashboard")}<//>
          <${Tab} to="/chat" inside>${t("nav.chat")}<//>
          ${me.value?.admin && html`<${Tab} to="/admin" inside>${t("nav.admin")}<//>`}
        </nav>
        <a href="/account">${me.value?.name}</a>
        <button class="button" onClick=${signOut}>${t("nav.signOut")}</button>
      </header>
      <${Strip} />
      <main class="page" id="main"><${Page} /></main>
      <${Toasts} />
    </div>`;
}
