// The keyboard: one letter, or two, leads somewhere; and the list of them all.

import { signedOut } from "../api.js";
import { me } from "../house.js";
import { html, signal } from "../lib.js";
import { navigate } from "../router.js";
import { letterKeys } from "../settings.js";
import { t } from "../strings.js";
import { Dialog } from "./dialog.js";
import { undoLast } from "./toast.js";

const SECOND_MS = 1500;

/** Whether the list of keys is open. */
export const keysShown = signal(false);

/** Whether the palette is open. */
export const paletteShown = signal(false);

const apple = /Mac|iPhone|iPad/.test(navigator.platform);

/** How the key of the palette is written here. */
export const PALETTE_KEY = apple ? "⌘K" : "Ctrl K";

/** @type {Record<string, string>} */
const PLACES = { d: "/", c: "/chat", a: "/admin" };

/** @param {EventTarget | null} target */
function typing(target) {
  return target instanceof HTMLElement
    && target.matches("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]:not([contenteditable=false])");
}

/** What is seen of what a selector means. @param {string} selector @param {ParentNode} [within] */
const visible = (selector, within = document) =>
  /** @type {HTMLElement[]} */ ([...within.querySelectorAll(selector)]).filter((one) => one.checkVisibility({ visibilityProperty: true }));

/** All of a row, whose mark may stand on its link. @param {HTMLElement} row */
const whole = (row) => row.closest("[role=row], li") ?? row;

const rowsShown = () => visible("[data-row]");

/** @param {HTMLElement[]} rows */
const rowAt = (rows) => rows.findIndex((row) => whole(row).contains(document.activeElement));

/** Put the focus on a row: on what leads further, where there is such a thing. @param {HTMLElement | undefined} row */
function enter(row) {
  const target = row?.matches("a, summary") ? row : (row?.querySelector(".admin-main a, input:checked") ?? row);
  /** @type {HTMLElement | undefined} */ (target)?.focus();
}

/** Move the focus through the rows of the list that is shown. @param {1 | -1} step */
function moveRow(step) {
  const rows = rowsShown();
  const at = rowAt(rows);
  enter(rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))]);
}

/** Put the focus on the first row. @param {Node} [filter] rows in front of it are none of its list @returns {boolean} whether there is one */
export function enterList(filter) {
  const mine = (/** @type {Node} */ row) => !filter || filter.compareDocumentPosition(row) & Node.DOCUMENT_POSITION_FOLLOWING;
  const first = rowsShown().find(mine);
  enter(first);
  return first !== undefined;
}

/** Begin to write: to the bot of the row that one is at, else where the page has a field for it. */
function write() {
  const rows = rowsShown();
  const row = rows[rowAt(rows)];
  const field = (row && visible("[data-write]", whole(row))[0]) ?? visible("[data-write]")[0];
  field?.focus();
  return field !== undefined;
}

/**
 * In a field that filters a list: Esc empties it, and both Esc and the arrow lead into the list.
 *
 * @param {KeyboardEvent} event @param {() => void} empty
 */
export function leaveFilter(event, empty) {
  if (event.isComposing || (event.key !== "Escape" && event.key !== "ArrowDown")) return;
  event.preventDefault();
  event.stopPropagation();
  if (event.key === "Escape") empty();
  const filter = /** @type {HTMLElement} */ (event.target);
  if (enterList(filter) || event.key !== "Escape") return;
  // Rows that it hid are drawn first; the next key is none of the field's in any case.
  filter.blur();
  setTimeout(() => document.activeElement === document.body && enterList(filter));
}

let first = { key: "", at: 0 };

/** @param {KeyboardEvent} event @returns {boolean} whether it meant something */
function letter(event) {
  const after = Date.now() - first.at < SECOND_MS ? first.key : "";
  first = { key: "", at: 0 };
  if (after === "g" && event.key in PLACES) {
    // A place that this host or this person has not is shown as such.
    navigate(PLACES[event.key]);
    return true;
  }
  switch (event.key) {
    case "g":
      first = { key: "g", at: Date.now() };
      return true;
    case "j":
    case "k":
      moveRow(event.key === "j" ? 1 : -1);
      return true;
    case "m":
      return write();
    case "z":
      return undoLast();
    case "?":
      keysShown.value = true;
      return true;
    case "/": {
      const [filter] = visible("[data-filter]");
      filter?.focus();
      return filter !== undefined;
    }
  }
  return false;
}

/** With nothing focused a key that scrolls would scroll nothing, as the document itself has no more than the window. @param {KeyboardEvent} event */
function scrolls({ key }) {
  if (document.activeElement !== document.body || !/^(Page|Arrow)(Up|Down)$|^(Home|End| )$/.test(key)) return;
  document.getElementById("main")?.focus({ preventScroll: true });
}

/** Listen from now on. */
export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || me.value === null || signedOut.value) return;
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      paletteShown.value = !paletteShown.value;
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    scrolls(event);
    if (letterKeys.value === "off") return;
    if (typing(event.target) || document.querySelector("dialog[open]")) return;
    if (letter(event)) event.preventDefault();
  });
}

/** @returns {[string[], string][]} */
function list() {
  return [
    [[PALETTE_KEY], t("keys.find")],
    [["g", "d"], t("keys.dashboard")],
    [["g", "c"], t("keys.chat")],
    ...(me.value?.admin ? [/** @type {[string[], string]} */ ([["g", "a"], t("keys.admin")])] : []),
    [["j", "k"], t("keys.rows")],
    [["/"], t("keys.filter")],
    [["m"], t("keys.write")],
    [["z"], t("keys.undo")],
    [["?"], t("keys.list")],
    [["Esc"], t("keys.close")],
  ];
}

export function Keys() {
  if (!keysShown.value) return null;
  return html`<${Dialog} title=${t("keys.title")} onClose=${() => (keysShown.value = false)}>
    <dl class="keys">${list().map(
      ([keys, words]) => html`<div key=${words}><dt>${keys.map((key) => html`<kbd key=${key}>${key}</kbd> `)}</dt><dd>${words}</dd></div>`,
    )}</dl>
    <label class="choice"><input type="checkbox" checked=${letterKeys.value === "on"}
      onChange=${(/** @type {any} */ event) => (letterKeys.value = event.target.checked ? "on" : "off")} /> ${t("keys.letters")}</label>
    <div class="actions"><button class="button" autofocus onClick=${() => (keysShown.value = false)}>${t("dialog.close")}</button></div>
  <//>`;
}
