// What is chosen on this device: theme, keys of one letter.

import { effect, signal } from "./lib.js";

/** @typedef {"system" | "light" | "dark"} Theme */

export const THEMES = /** @type {const} */ (["system", "light", "dark"]);

/** A choice that this device keeps. @template {string} T @param {string} name @param {T} fallback */
function kept(name, fallback) {
  const stored = `edgebotd.${name}`;
  const choice = signal(/** @type {T} */ (localStorage.getItem(stored) ?? fallback));
  effect(() => {
    // What nobody chose is not written down, so that another default reaches them.
    if (choice.value !== fallback || localStorage.getItem(stored) !== null) localStorage.setItem(stored, choice.value);
  });
  return choice;
}

export const theme = kept("theme", /** @type {Theme} */ ("system"));

/** Whether single letters are commands (WCAG 2.1.4 wants them off for who dictates). */
export const letterKeys = kept("keys", /** @type {"on" | "off"} */ ("on"));

/** Show the theme from now on. */
export function startSettings() {
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
    // What the browser paints around the page follows the choice too, not the system alone.
    const surface = getComputedStyle(document.body).backgroundColor;
    for (const meta of /** @type {NodeListOf<HTMLMetaElement>} */ (document.querySelectorAll("meta[name=theme-color]"))) {
      if (theme.value !== "system") meta.content = surface;
    }
  });
}
