// The one switch for notifications: it stands in the menu, because it holds for all bots on this device.

import { html } from "../lib.js";
import { say } from "../parts/toast.js";
import { t } from "../strings.js";
import { possible, setTelling, telling } from "./notify.js";

export function Telling() {
  if (!possible) return null;
  const change = async (/** @type {Event} */ event) => {
    const box = /** @type {HTMLInputElement} */ (event.currentTarget);
    if (!(await setTelling(box.checked))) say(t("chat.notify.refused"), { bad: true });
    box.checked = telling.value;
  };
  return html`<label class="choice"><input type="checkbox" checked=${telling.value} onChange=${change} /><span>${t("chat.notify")}</span></label>`;
}
