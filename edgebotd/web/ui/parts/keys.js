// The keyboard: one letter, or two, leads somewhere; and the list of them all.

import { signedOut } from "../api.js";
import { me } from "../house.js";
import { html, signal } from "../lib.js";
import { navigate } from "../router.js";
import { letterKeys } from "../settings.js";
import { t } from "../strings.js";
import { Dialog } from "./dialog.js";

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
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]:not([contenteditable=false])");
}

/** Move the focus through the rows of the list that is shown. @param {1 | -1} step */
function moveRow(step) {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-row]")]).filter((row) => row.offsetParent !== null);
  const at = rows.findIndex((row) => row === document.activeElement || row.closest("[role=row], li")?.contains(document.activeElement));
  const next = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))];
  next?.focus();
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
    case "?":
      keysShown.value = true;
      return true;
    case "/": {
      const filter = /** @type {HTMLElement | null} */ (document.querySelector("[data-filter]"));
      filter?.focus();
      return filter !== null;
    }
  }
  return false;
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
    if (event.ctrlKey || event.metaKey || event.altKey || letterKeys.value === "off") return;
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
    [["j", "k"], t("keys.rows")],
    [["/"], t("keys.filter")],
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
