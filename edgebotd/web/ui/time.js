// Times as people read them. What changes with time reads `now`, which moves once a second while the page is seen.

import { signal } from "./lib.js";
import { language, t } from "./strings.js";

/** Unix milliseconds, once a second. */
export const now = signal(Date.now());

setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) now.value = Date.now();
});

/** A time's length in the coarsest unit that still tells: "now", "12 s", "4 min", "3 h", "5 d". @param {number} ms */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 5) return t("time.now");
  if (seconds < 60) return t("time.seconds", { n: seconds });
  if (seconds < 3600) return t("time.minutes", { n: Math.floor(seconds / 60) });
  if (seconds < 86_400) return t("time.hours", { n: Math.floor(seconds / 3600) });
  return t("time.days", { n: Math.floor(seconds / 86_400) });
}

/** How long since. @param {number} at */
export const age = (at) => span(now.value - at);

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/** A format of the language shown now. Made once: making one takes longer than using it a hundred times. */
function format(/** @type {Intl.DateTimeFormatOptions} */ options) {
  const name = language.value + Object.values(options).join();
  let found = formats.get(name);
  if (found === undefined) formats.set(name, (found = new Intl.DateTimeFormat(language.value, options)));
  return found;
}

/** Date and time in full, in the person's own zone. @param {number} at */
export function full(at) {
  return format({ dateStyle: "medium", timeStyle: "medium" }).format(at);
}

/** Hours and minutes. @param {number} at */
export function clock(at) {
  return format({ hour: "2-digit", minute: "2-digit" }).format(at);
}

/** A time not far from now: its hour, with the day where that is another one. @param {number} at */
export function moment(at) {
  const days = Math.abs(new Date(at).setHours(0, 0, 0, 0) - new Date(now.value).setHours(0, 0, 0, 0)) / 86_400_000;
  if (days < 0.5) return clock(at);
  if (days < 6.5) return format({ weekday: "short", hour: "2-digit", minute: "2-digit" }).format(at);
  return format({ month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }).format(at);
}

/** Hours, minutes and seconds. @param {number} at */
export function clockSeconds(at) {
  return format({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(at);
}

/** A day's name: "today", "yesterday", else its date. @param {number} at */
export function day(at) {
  const midnight = new Date(now.value).setHours(0, 0, 0, 0);
  if (at >= midnight) return t("time.today");
  if (at >= midnight - 86_400_000) return t("time.yesterday");
  return format({ dateStyle: "medium" }).format(at);
}

/** A size in the unit that people read. @param {number} bytes */
export function size(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = value >= 100 || unit === 0 ? 0 : 1;
  return new Intl.NumberFormat(language.value, { style: "unit", unit: units[unit], maximumFractionDigits: digits }).format(value);
}
