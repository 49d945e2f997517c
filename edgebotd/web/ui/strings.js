// Every text that people read, by key, in the language that they chose. English is complete by definition; a test holds
// the others to it.

import { signal } from "./lib.js";
import en from "./strings/en.js";

/** @typedef {keyof typeof en} Key */

export const LANGUAGES = Object.freeze({ en: "English", de: "Deutsch" });
const STORED = "edgebotd.language";

const texts = signal(/** @type {Record<string, string>} */ (en));

/** The language shown now, as in `<html lang>`. */
export const language = signal("en");

/**
 * Return a text. `{name}` in it stands for a value; where there are forms for numbers, `key.one` and `key.other` are
 * chosen by `count`.
 *
 * @param {Key} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  let text = texts.value[key] ?? en[key] ?? key;
  if ("count" in values) {
    const form = `${key}.${new Intl.PluralRules(language.value).select(Number(values.count))}`;
    text = texts.value[form] ?? texts.value[`${key}.other`] ?? text;
  }
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Show another language from now on. @param {string} wanted */
export async function setLanguage(wanted) {
  const known = wanted in LANGUAGES ? wanted : "en";
  const loaded = known === "en" ? en : (await import(`./strings/${known}.js`)).default;
  texts.value = loaded;
  language.value = known;
  document.documentElement.lang = known;
  localStorage.setItem(STORED, known);
}

/** Show what was chosen before, else what the browser prefers. */
export async function startLanguage() {
  const wanted = localStorage.getItem(STORED) ?? navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => tag in LANGUAGES);
  if (wanted && wanted !== "en") await setLanguage(wanted);
}
