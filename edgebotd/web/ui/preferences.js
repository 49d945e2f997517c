// What a person likes, kept by the daemon for all devices; on this device alone where the daemon keeps none.

import { call, Problem } from "./api.js";
import { computed, signal } from "./lib.js";
import { sayError } from "./parts/toast.js";

const STORED = "edgebotd.preferences";

/** @typedef {{favourites?: string[], [key: string]: unknown}} Values */

const values = signal(/** @type {Values} */ ({}));
let here = false;

/** Bots that stand first. */
export const favourites = computed(() => new Set(values.value.favourites ?? []));

/** Read them. */
export async function loadPreferences() {
  try {
    values.value = (await call("GET", "/api/me/preferences")).values ?? {};
    here = false;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    here = error.status === 404;
    if (here) values.value = JSON.parse(localStorage.getItem(STORED) ?? "{}");
  }
}

/** Keep one. @param {string} name @param {unknown} value */
async function keep(name, value) {
  const before = values.value;
  values.value = { ...before, [name]: value };
  if (here) {
    localStorage.setItem(STORED, JSON.stringify(values.value));
    return;
  }
  try {
    await call("PUT", "/api/me/preferences", { values: values.value });
  } catch (error) {
    values.value = before;
    sayError(error);
  }
}

/** Put a bot among the favourites, or take it off. @param {string} botId */
export function toggleFavourite(botId) {
  const next = new Set(favourites.value);
  if (!next.delete(botId)) next.add(botId);
  return keep("favourites", [...next]);
}
