// The ways to another bot: one with a container of its own, one that runs here already, one that runs elsewhere.

import { canMake, docker } from "../docker.js";
import { html } from "../lib.js";
import { Dialog } from "../parts/dialog.js";
import { t } from "../strings.js";

/** @param {{to: string, title: string, text: string, autofocus?: boolean}} props */
const Way = ({ to, title, text, autofocus = false }) => html`<a class="way" href=${to} autofocus=${autofocus}><strong>${title}</strong><span class="muted">${text}</span></a>`;

/** @param {{onClose: () => void}} props */
export function AddDialog({ onClose }) {
  // Told with the first snapshot; a way that came a moment later would move the others.
  if (docker.value === null) return null;
  return html`<${Dialog} title=${t("add.title")} onClose=${onClose}>
    <div class="ways">
      ${canMake() && html`<${Way} to="/operations/new" title=${t("make.title")} text=${t("add.make")} />`}
      <${Way} to="/operations/adopt" title=${t("add.adopt.title")} text=${t("add.adopt")} />
      <${Way} to="/?connect" title=${t("connect.title")} text=${t("add.connect")} />
    </div>
    ${!canMake() && html`<p class="small muted">${docker.value?.engine.detail ?? t("make.noEngine")}</p>`}
    <div class="actions"><button type="button" class="button" onClick=${onClose}>${t("dialog.cancel")}</button></div>
  <//>`;
}
