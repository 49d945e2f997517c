// A text to take along: shown whole, copied by a button.

import { html, useEffect, useId, useRef, useState } from "../../lib.js";
import { copy } from "../../parts/copy.js";
import { Icon } from "../../parts/icon.js";
import { t } from "../../strings.js";

/** @param {{text: string, label: string, taken?: boolean}} props `taken`: it was just made, to be taken along at once */
export function CopyField({ text, label, taken = false }) {
  const id = useId();
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [done, setDone] = useState(/** @type {boolean | null} */ (null));
  useEffect(() => {
    if (taken) field.current?.focus();
  }, [text]);
  async function take() {
    const done = await copy(text);
    setDone(done);
    if (!done) field.current?.select();
  }
  return html`<div class="field"><label for=${id}>${label}</label>
    <div class="admin-copy">
      <input ref=${field} id=${id} class="input admin-mono" readonly value=${text} onFocus=${() => field.current?.select()} />
      <button type="button" class="button" onClick=${take}><${Icon} name=${done ? "check" : "copy"} />${t(done ? "admin.copied" : "admin.copy")}</button>
    </div>
    <span role="status" class="muted">${done === false && t("admin.copyByHand")}</span>
  </div>`;
}
