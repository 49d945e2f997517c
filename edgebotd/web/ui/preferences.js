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

// One after the other, so that no answer overtakes a later change.
let turn = Promise.resolve();

/** @param {() => Promise<void>} work */
const inTurn = (work) => (turn = turn.then(work));

/** Read them, at the start and when the page is looked at again: another device may have changed them. */
export const loadPreferences = () => inTurn(async () => {
  try {
    values.value = (await call("GET", "/api/me/preferences")).values ?? {};
    here = false;
  } catch (error) {
    here = error instanceof Problem && error.status === 404;
    if (here) values.value = JSON.parse(localStorage.getItem(STORED) ?? "{}");
  }
});

/** @param {Values} before @param {string} botId @param {boolean} liked @returns {Values} */
function changed(before, botId, liked) {
  const others = (before.favourites ?? []).filter((one) => one !== botId);
  return { ...before, favourites: liked ? [...others, botId] : others };
}

/** Put a bot among the favourites, or take it off. @param {string} botId */
export function toggleFavourite(botId) {
  const liked = !favourites.value.has(botId);
  values.value = changed(values.value, botId, liked);
  if (here) {
    localStorage.setItem(STORED, JSON.stringify(values.value));
    return;
  }
  inTurn(async () => {
    try {
      // They are put all at once, so what another device has kept meanwhile is read first.
      const stored = (await call("GET", "/api/me/preferences")).values ?? {};
      const kept = changed(stored, botId, liked);
      await call("PUT", "/api/me/preferences", { values: kept });
      values.value = kept;
    } catch (error) {
      values.value = changed(values.value, botId, !liked);
      sayError(error);
    }
  });
}
