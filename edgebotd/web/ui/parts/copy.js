// A command to take along.

import { html } from "../lib.js";
import { t } from "../strings.js";
import { Icon } from "./icon.js";
import { say } from "./toast.js";

/**
 * Put a text on the clipboard. Browsers keep their clipboard from pages without TLS, which a daemon in a home network
 * often is; there the old way by a selected field still works.
 *
 * @param {string} text @returns {Promise<boolean>}
 */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    before?.focus({ preventScroll: true });
    return done;
  }
}

/** @param {string} text */
async function copyAndSay(text) {
  if (await copy(text)) say(t("copy.done"));
  else say(t("copy.failed"), { bad: true });
}

/** @param {{text: string}} props */
export function Command({ text }) {
  return html`<span class="command"><code tabindex="0">${text}</code>
    <button type="button" class="icon-button" onClick=${() => copyAndSay(text)}><${Icon} name="copy" label=${t("copy.command")} /></button></span>`;
}
