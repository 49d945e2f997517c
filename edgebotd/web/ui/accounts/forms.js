// What the dialogs of logins share: one that saves and says what is wrong, and the choice of bots.

import { Problem } from "../api.js";
import { botList } from "../house.js";
import { html, useState } from "../lib.js";
import { Dialog } from "../parts/dialog.js";
import { t } from "../strings.js";

/** What a form says, trimmed; undefined where it is empty. @param {FormData} form @param {string} key */
export const typed = (form, key) => String(form.get(key) ?? "").trim() || undefined;

/**
 * A dialog with a form in it. What was typed stays when it is refused.
 *
 * @param {{title: string, go: string, onClose: () => void, save: (form: FormData) => Promise<void>, children: any}} props
 */
export function FormDialog({ title, go, onClose, save, children }) {
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);
  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    setTrouble("");
    try {
      await save(new FormData(/** @type {HTMLFormElement} */ (event.target)));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setTrouble(error.message);
    } finally {
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${title} onClose=${onClose}><form class="stack" onSubmit=${submit}>
    ${children}
    <p role="alert" class=${trouble ? "trouble" : "visually-hidden"}>${trouble}</p>
    <div class="actions"><button type="button" class="button" onClick=${onClose}>${t("dialog.cancel")}</button>
      <button class="button primary" disabled=${busy}>${busy ? t("acct.busy") : go}</button></div>
  </form><//>`;
}

/** @param {{chosen: string[]}} props */
export function BotPicks({ chosen }) {
  if (botList.value.length === 0) return null;
  return html`<fieldset><legend>${t("acct.bots")}</legend><div class="acct-picks">${botList.value.map((bot) => html`
    <label key=${bot.botId} class="choice"><input type="checkbox" name="bot" value=${bot.botId} checked=${chosen.includes(bot.botId)} /><span dir="auto">${bot.name}</span></label>`)}</div></fieldset>`;
}
