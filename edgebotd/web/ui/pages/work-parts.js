// What the pages about work on containers draw alike: the mark of a state, a bar with words, how long something took.

import { html } from "../lib.js";
import { t } from "../strings.js";
import { now } from "../time.js";

/** @typedef {Pick<import("../work.js").Operation, "kind" | "request">} Work */

/** Shapes differ too, for who sees no colours. */
const SHAPES = {
  waiting: ["unknown", "M8 12.5a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9z"],
  running: ["busy", "M8 3.500a4.500 4.500 0 1 1-4.500 4.500"],
  undoing: ["warn", "M8 3.500a4.500 4.500 0 1 0 4.500 4.500"],
  done: ["ok", "M3 8.500 6.500 12 13 4.500"],
  succeeded: ["ok", "M3 8.500 6.500 12 13 4.500"],
  failed: ["bad", "M4 4l8 8M12 4l-8 8"],
  cancelled: ["unknown", "M5 5h6v6H5z"],
  skipped: ["unknown", "M4 8h8"],
};

/** @param {{state: keyof typeof SHAPES}} props */
export function WorkMark({ state }) {
  const [colour, path] = SHAPES[state] ?? SHAPES.waiting;
  return html`<svg class=${`mark ${colour}`} viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2"><path d=${path} /></svg>`;
}

/** A bar; the words beside it say the same. Without a whole it only says that something goes on. @param {{label: string, value: number, most: number}} props */
export function Bar({ label, value, most }) {
  return most > 0
    ? html`<progress class="work-bar" aria-label=${label} max=${most} value=${Math.min(value, most)}></progress>`
    : html`<progress class="work-bar" aria-label=${label}></progress>`;
}

/** How long something took, in words. @param {number} milliseconds */
export function took(milliseconds) {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 10) return t("time.seconds", { n: seconds.toFixed(1) });
  if (seconds < 100) return t("time.seconds", { n: Math.round(seconds) });
  if (seconds < 6000) return t("time.minutes", { n: Math.round(seconds / 60) });
  return t("time.hours", { n: Math.round(seconds / 3600) });
}

/** Time since a beginning, as a stopwatch shows it. @param {number} milliseconds */
export function stopwatch(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const shown = parts[0] > 0 ? parts : parts.slice(1);
  return shown.map((part, index) => (index > 0 ? String(part).padStart(2, "0") : String(part))).join(":");
}

/** How long something goes on already. @param {{from: number}} props */
export const Elapsed = ({ from }) => html`<time>${stopwatch(now.value - from)}</time>`;

// Kinds and steps may be those of another version; they have their own word then.

/** What a step does. @param {string} name */
export function stepWord(name) {
  const text = t(`work.step.${/** @type {"pull"} */ (name)}`);
  return text === `work.step.${name}` ? name : text;
}

/** The kind of work in the words' keys: going back is an upgrade of a kind of its own. @param {Work} one */
const kindOf = (one) => (one.kind === "upgrade" && one.request.back === true ? "back" : one.kind);

/** What kind of work it is. @param {Work} one */
export function kindWord(one) {
  const kind = kindOf(one);
  const text = t(`work.kind.${/** @type {"create"} */ (kind)}`);
  return text === `work.kind.${kind}` ? kind : text;
}

/** What kind of work it is, on which bot. @param {Work} one @param {string} bot */
export function kindTitle(one, bot) {
  const kind = kindOf(one);
  const text = t(`work.title.${/** @type {"create"} */ (kind)}`, { bot });
  return text === `work.title.${kind}` ? `${kind}: ${bot}` : text;
}

/** What came of it. @param {Work} one */
export function successWord(one) {
  const kind = kindOf(one);
  const text = t(`work.verdict.succeeded.${/** @type {"create"} */ (kind)}`);
  return text === `work.verdict.succeeded.${kind}` ? t("work.state.succeeded") : text;
}
