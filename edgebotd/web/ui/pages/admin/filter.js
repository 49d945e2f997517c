// The one field that narrows a list of the administration by typing.

import { html } from "../../lib.js";
import { leaveFilter } from "../../parts/keys.js";
import { t } from "../../strings.js";

/** A list that is seen at once is not filtered. */
export const MANY = 10;

/** @param {{text: string, setText: (text: string) => void, label?: string}} props */
export function FilterField({ text, setText, label = t("admin.filter") }) {
  return html`<label class="field admin-grows"><span>${label}</span>
    <input class="input" type="search" data-filter value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => leaveFilter(event, () => setText(""))} /></label>`;
}

/** The field alone, above its list. @param {{text: string, setText: (text: string) => void}} props */
export function Filter(props) {
  return html`<div class="admin-filters" role="search"><${FilterField} ...${props} /></div>`;
}
