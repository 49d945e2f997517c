// Administration and one's own account.

import { html } from "../lib.js";

/** @param {{path: string}} props */
export function AdminPage({ path }) {
  return html`<p>${path}</p>`;
}
