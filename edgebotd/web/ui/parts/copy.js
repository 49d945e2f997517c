// A command to take along.

import { html } from "../lib.js";
import { t } from "../strings.js";
import { Icon } from "./icon.js";
import { say } from "./toast.js";

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say(t("copy.done"));
  } catch {
    // Over plain HTTP there is no clipboard.
    say(t("copy.failed"), { bad: true });
  }
}

/** @param {{text: string}} props */
export function Command({ text }) {
  return html`<span class="command"><code tabindex="0">${text}</code>
    <button type="button" class="icon-button" onClick=${() => copy(text)}><${Icon} name="copy" label=${t("copy.command")} /></button></span>`;
}
