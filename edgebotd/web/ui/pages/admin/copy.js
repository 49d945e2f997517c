// A text to take along: shown whole, copied by a button.

import { html, useId, useRef, useState } from "../../lib.js";
import { Icon } from "../../parts/icon.js";
import { t } from "../../strings.js";

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
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

/** @param {{text: string, label: string}} props */
export function CopyField({ text, label }) {
  const id = useId();
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [done, setDone] = useState(/** @type {boolean | null} */ (null));
  async function take() {
    const taken = await copy(text);
    setDone(taken);
    if (!taken) field.current?.select();
  }
  return html`<div class="field"><label for=${id}>${label}</label>
    <div class="admin-copy">
      <input ref=${field} id=${id} class="input admin-mono" readonly value=${text} onFocus=${() => field.current?.select()} />
      <button type="button" class="button" onClick=${take}><${Icon} name=${done ? "check" : "copy"} />${t(done ? "admin.copied" : "admin.copy")}</button>
    </div>
    <span role="status" class="muted">${done === false && t("admin.copyByHand")}</span>
  </div>`;
}
