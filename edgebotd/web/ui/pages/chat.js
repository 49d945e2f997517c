// Conversations with a bot: the list, the messages, what is being written.

import { BotChoice, List } from "../chat/list.js";
import { conversationsOf } from "../chat/conversations.js";
import { tidyDrafts } from "../chat/drafts.js";
import { prepare } from "../chat/markdown.js";
import { chatPath, embedded, embeddedConversation, NEW } from "../chat/paths.js";
import { Talk } from "../chat/talk.js";
import { botList, bots, known, me, surface } from "../house.js";
import { html, useEffect, useRef } from "../lib.js";
import { Empty, Loading } from "../parts/loaded.js";
import { navigate } from "../router.js";
import { t } from "../strings.js";

/** @param {{botId: string | null, conversationId: string | null}} props */
export function ChatPage({ botId, conversationId }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const shown = conversationId ?? (embedded() ? embeddedConversation() : null);
  const only = botList.value.length === 1 ? botList.value[0].botId : null;

  useEffect(() => {
    prepare().catch(() => {}); // blocks ask again
    tidyDrafts();
  }, []);

  useEffect(() => {
    if (botId === null && only !== null) navigate(chatPath(only), { replace: true });
  }, [botId, only]);

  // Where a keyboard covers the page instead of making it smaller, make room for it.
  useEffect(() => {
    const view = window.visualViewport;
    if (!view) return;
    const fit = () => {
      const covered = view.scale === 1 ? Math.max(0, window.innerHeight - view.height - view.offsetTop) : 0;
      if (frame.current) frame.current.style.paddingBlockEnd = covered > 0 ? `${covered}px` : "";
    };
    view.addEventListener("resize", fit);
    return () => view.removeEventListener("resize", fit);
  }, []);

  useEffect(() => {
    if (botId === null) return;
    const key = (/** @type {KeyboardEvent} */ event) => {
      if (!event.altKey || event.ctrlKey || event.metaKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
      const ids = conversationsOf(botId).sorted.map((row) => row.conversation.id);
      const here = ids.indexOf(shown ?? "");
      const to = ids[event.key === "ArrowUp" ? here - 1 : here + 1];
      event.preventDefault();
      if (to) navigate(chatPath(botId, to));
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, [botId, shown]);

  if (!known.value) return html`<${Loading} rows=${6} />`;
  if (botId !== null && !bots.value.has(botId)) return html`<${Empty} text=${t("chat.noBot")}><a class="button" href="/chat">${t("chat.allBots")}</a><//>`;
  if (botId === null && botList.value.length === 0) {
    // Other hosts have no dashboard, where one connects.
    return me.value?.admin && surface.value === "dashboard"
      ? html`<${Empty} text=${t("dash.empty")}><a class="button primary" href="/?add">${t("add.title")}</a><//>`
      : html`<${Empty} text=${t("chat.noBots")} />`;
  }
  return html`<div class="chat" ref=${frame} data-bot=${botId} data-screen=${botId !== null && shown !== null ? "talk" : "list"}>
    ${botId === null ? html`<${BotChoice} />` : html`<${List} key=${botId} botId=${botId} conversationId=${shown} />`}
    ${botId === null
      ? html`<div class="talk"><div class="empty"><p>${t("chat.chooseBot")}</p></div></div>`
      : html`<${Talk} key=${`${botId}/${shown ?? NEW}`} botId=${botId} conversationId=${shown ?? NEW} />`}
  </div>`;
}
