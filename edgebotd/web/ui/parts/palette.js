// Find anything: bots, conversations by title, pages, actions.

import { call, path, Problem, query } from "../api.js";
import { canMake } from "../docker.js";
import { botList, me, surface } from "../house.js";
import { html, useEffect, useId, useMemo, useRef, useState } from "../lib.js";
import { ordered } from "../pages/order.js";
import { favourites } from "../preferences.js";
import { navigate } from "../router.js";
import { signOut } from "../session.js";
import { theme, THEMES } from "../settings.js";
import { t } from "../strings.js";
import { talk } from "../talk.js";
import { useModal } from "./dialog.js";
import { keepFocus } from "./focus.js";
import { keysShown, paletteShown } from "./keys.js";
import { Icon } from "./icon.js";

const SHOWN = 40;
const ASKED_BOTS = 12;
const ADMIN_PARTS = /** @type {const} */ (["users", "tokens", "sessions", "connections", "operations", "images", "disk", "audit", "events", "config"]);

/** @typedef {{id: string, group: "bots" | "conversations" | "pages" | "actions", label: string, note?: string, run: () => void}} Entry */

/** Keep what has all words in it, what begins with them first. Pure.
 *
 * @template {{label: string, note?: string}} T
 * @param {T[]} entries @param {string} text
 * @returns {T[]}
 */
export function found(entries, text) {
  const words = text.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const begins = (/** @type {T} */ entry) => words.length > 0 && entry.label.toLocaleLowerCase().startsWith(words[0]);
  const fits = entries.filter((entry) => {
    const whole = `${entry.label} ${entry.note ?? ""}`.toLocaleLowerCase();
    return words.every((word) => whole.includes(word));
  });
  return [...fits.filter(begins), ...fits.filter((entry) => !begins(entry))];
}

function lastUsed() {
  const usedAt = (/** @type {string} */ id) => talk.value.get(id)?.last?.at ?? 0;
  return ordered(botList.value, "used", { favourites: favourites.value, usedAt });
}

/** @returns {Entry[]} */
function places() {
  const go = (/** @type {string} */ to) => () => navigate(to);
  /** @type {Entry[]} */
  const entries = [];
  const all = surface.value === "dashboard";
  if (surface.value !== "bot") {
    for (const bot of lastUsed()) {
      entries.push({ id: `bot-${bot.botId}`, group: "bots", label: bot.name, note: t(`state.${bot.state}`), run: go(all ? `/bots/${bot.botId}` : `/chat/${bot.botId}`) });
    }
  }
  if (all) {
    entries.push({ id: "page-home", group: "pages", label: t("nav.dashboard"), run: go("/") });
    entries.push({ id: "page-chat", group: "pages", label: t("nav.chat"), run: go("/chat") });
    if (me.value?.admin) {
      entries.push({ id: "page-accounts", group: "pages", label: t("nav.accounts"), run: go("/accounts") });
      entries.push({ id: "page-admin", group: "pages", label: t("nav.admin"), run: go("/admin") });
      for (const part of ADMIN_PARTS) entries.push({ id: `page-${part}`, group: "pages", label: t(`admin.${part}`), note: t("nav.admin"), run: go(`/admin/${part}`) });
    }
    entries.push({ id: "page-account", group: "pages", label: t("nav.account"), run: go("/account") });
    if (me.value?.admin) {
      // "Do" by what it is, though each leads to a page: they are looked for by what one wants to do.
      if (canMake()) entries.push({ id: "do-make", group: "actions", label: t("make.title"), run: go("/operations/new") });
      entries.push({ id: "do-adopt", group: "actions", label: t("add.adopt.title"), run: go("/operations/adopt") });
      entries.push({ id: "do-connect", group: "actions", label: t("connect.title"), run: go("/?connect") });
    }
  }
  for (const one of THEMES) {
    if (one !== theme.value) entries.push({ id: `do-${one}`, group: "actions", label: `${t("settings.theme")}: ${t(`settings.theme.${one}`)}`, run: () => (theme.value = one) });
  }
  entries.push({ id: "do-keys", group: "actions", label: t("keys.title"), run: () => (keysShown.value = true) });
  entries.push({ id: "do-out", group: "actions", label: t("nav.signOut"), run: signOut });
  return entries;
}

/** The newest conversations of the bots that were used last. @returns {Promise<Entry[]>} */
async function conversations(/** @type {AbortSignal} */ signal) {
  const asked = lastUsed().slice(0, ASKED_BOTS);
  const pages = await Promise.all(
    asked.map(async (bot) => {
      try {
        const { items } = await call("GET", path`/api/bots/${bot.botId}/conversations` + query({ limit: 50 }), undefined, { signal });
        return items.map((/** @type {any} */ row) => ({ bot, row }));
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        return [];
      }
    }),
  );
  return pages
    .flat()
    .sort((a, b) => b.row.conversation.updatedAt - a.row.conversation.updatedAt)
    .map(({ bot, row: { conversation } }) => ({
      id: conversation.id, group: "conversations", label: conversation.title ?? t("find.untitled"), note: bot.name,
      run: () => navigate(`/chat/${bot.botId}/${conversation.id}`),
    }));
}

/** Drawn while it is open, so that it opens empty each time. */
export function Palette() {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const id = useId();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const [said, setSaid] = useState(/** @type {Entry[]} */ ([]));
  useEffect(() => {
    const abort = new AbortController();
    conversations(abort.signal).then(setSaid, (error) => {
      if (!abort.signal.aborted) throw error;
    });
    return () => abort.abort();
  }, []);

  const fixed = places();
  const entries = useMemo(() => {
    const order = ["bots", "conversations", "pages", "actions"];
    // Without a word typed: where one can go, and what was used last.
    const shown = text.trim() ? found([...fixed, ...said], text) : [...fixed.filter((entry) => entry.group !== "actions"), ...said.slice(0, 5)];
    return shown.sort((a, b) => order.indexOf(a.group) - order.indexOf(b.group)).slice(0, SHOWN);
  }, [text, said, fixed.length]);
  const chosen = Math.min(at, entries.length - 1);
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [chosen]);

  const close = () => (paletteShown.value = false);
  const closed = useModal(dialog, close);
  /** @param {Entry} entry */
  const take = (entry) => {
    // Who goes somewhere goes on there, and not where one was.
    if (entry.group !== "actions" && dialog.current) keepFocus(dialog.current);
    close();
    entry.run();
  };
  /** @param {KeyboardEvent} event */
  const key = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && entries.length) setAt((chosen + step + entries.length) % entries.length);
    else if (event.key === "Enter" && !event.isComposing && entries[chosen]) take(entries[chosen]);
    else return;
    event.preventDefault();
  };
  const groups = /** @type {const} */ (["bots", "conversations", "pages", "actions"]);
  return html`<dialog ref=${dialog} class="dialog palette" aria-label=${t("find.title")} onClose=${closed}
      onClick=${(/** @type {MouseEvent} */ event) => event.target === dialog.current && close()}>
    <div class="palette-in"><${Icon} name="search" />
      <input class="bare" type="text" role="combobox" autofocus autocomplete="off" spellcheck=${false} aria-expanded="true" aria-controls=${id}
        aria-label=${t("find.title")} placeholder=${t("find.placeholder")} value=${text} onKeyDown=${key}
        aria-activedescendant=${entries[chosen] ? `${id}-${entries[chosen].id}` : null}
        onInput=${(/** @type {any} */ event) => (setText(event.target.value), setAt(0))} />
      <kbd>Esc</kbd></div>
    <div ref=${list} class="palette-list" id=${id} role="listbox" aria-label=${t("find.title")}>
      ${groups.map((group) => {
        const own = entries.filter((entry) => entry.group === group);
        return own.length > 0 && html`<div key=${group} role="group" aria-label=${t(`find.${group}`)}>
          <p class="small muted" aria-hidden="true">${t(`find.${group}`)}</p>
          ${own.map((entry) => html`<div key=${entry.id} id=${`${id}-${entry.id}`} role="option" class="palette-row" aria-selected=${entries[chosen] === entry}
            onClick=${() => take(entry)} onPointerMove=${() => setAt(entries.indexOf(entry))}>
            <span class="cut"><bdi>${entry.label}</bdi></span><span class="muted cut"><bdi>${entry.note}</bdi></span></div>`)}</div>`;
      })}
    </div>
    <p class=${entries.length ? "visually-hidden" : "palette-none muted"} role="status">${t("find.count", { count: entries.length })}</p>
  </dialog>`;
}
