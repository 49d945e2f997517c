// A time as its age; only this element is drawn anew as it grows.

import { html } from "../lib.js";
import { age, full } from "../time.js";

/** @param {{at: number}} props */
export function Age({ at }) {
  return html`<time datetime=${new Date(at).toISOString()} title=${full(at)}>${age(at)}</time>`;
}
