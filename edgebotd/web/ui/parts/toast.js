// Short words about what was just done or failed; read out, gone by themselves.

import { html, signal } from "../lib.js";
import { Icon } from "./icon.js";
import { t } from "../strings.js";

const SECONDS = 6;
const UNDO_SECONDS = 12;

/** @typedef {{id: number, text: string, bad: boolean, undo?: () => void}} Said */

const said = signal(/** @type {Said[]} */ ([]));
let count = 0;

/** @param {number} id */
const forget = (id) => (said.value = said.value.filter((one) => one.id !== id));

/** @param {number} id @param {number} seconds */
function expire(id, seconds) {
  setTimeout(() => {
    // While somebody is at them, with a pointer or with keys, they stay.
    if (document.querySelector(".toasts:is(:hover, :focus-within)")) expire(id, seconds);
    else forget(id);
  }, seconds * 1000);
}

/** @param {Said} one */
function takeBack(one) {
  forget(one.id);
  one.undo?.();
}

/** Undo what was said last, of what can be undone. @returns {boolean} whether there was anything */
export function undoLast() {
  const one = said.value.findLast(({ undo }) => undo);
  if (one) takeBack(one);
  return one !== undefined;
}

/** Say something for some seconds. @param {string} text @param {{bad?: boolean, undo?: () => void}} [options] */
export function say(text, { bad = false, undo } = {}) {
  count += 1;
  const id = count;
  said.value = [...said.value.slice(-3), { id, text, bad, undo }];
  expire(id, undo ? UNDO_SECONDS : SECONDS);
}

/** Say what went wrong; for `catch`. @param {unknown} error */
export function sayError(error) {
  say(error instanceof Error ? error.message : String(error), { bad: true });
}

export function Toasts() {
  return html`<div class="toasts" role="status">${said.value.map(
    (one) => html`<div key=${one.id} class=${one.bad ? "toast bad" : "toast"}>
      <span>${one.text}</span>
      ${one.undo && html`<button class="link" onClick=${() => takeBack(one)}>${t("toast.undo")}</button>`}
      <button class="icon-button" onClick=${() => forget(one.id)}><${Icon} name="close" label=${t("toast.close")} /></button>
    </div>`,
  )}</div>`;
}
