// Short words about what was just done or failed; read out, gone by themselves.

import { html, signal } from "../lib.js";
import { Icon } from "./icon.js";
import { t } from "../strings.js";

const SECONDS = 6;

/** @typedef {{id: number, text: string, bad: boolean, undo?: () => void}} Said */

const said = signal(/** @type {Said[]} */ ([]));
let count = 0;

/** @param {number} id */
const forget = (id) => (said.value = said.value.filter((one) => one.id !== id));

/** Say something for some seconds. @param {string} text @param {{bad?: boolean, undo?: () => void}} [options] */
export function say(text, { bad = false, undo } = {}) {
  count += 1;
  const id = count;
  said.value = [...said.value.slice(-3), { id, text, bad, undo }];
  setTimeout(() => forget(id), SECONDS * 1000);
}

/** Say what went wrong; for `catch`. @param {unknown} error */
export function sayError(error) {
  say(error instanceof Error ? error.message : String(error), { bad: true });
}

export function Toasts() {
  return html`<div class="toasts" role="status">${said.value.map(
    (one) => html`<div key=${one.id} class=${one.bad ? "toast bad" : "toast"}>
      <span>${one.text}</span>
      ${one.undo && html`<button class="link" onClick=${() => (forget(one.id), one.undo?.())}>${t("toast.undo")}</button>`}
      <button class="icon-button" onClick=${() => forget(one.id)}><${Icon} name="close" label=${t("toast.close")} /></button>
    </div>`,
  )}</div>`;
}
