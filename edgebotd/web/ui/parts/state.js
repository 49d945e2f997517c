// How a bot is and what it does, in words; shape and colour repeat them.

import { html } from "../lib.js";
import { t } from "../strings.js";
import { Age } from "./age.js";

/** Shapes differ too, for who sees no colours. */
const SHAPES = {
  connected: ["ok", "M8 12.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9z", true],
  connecting: ["busy", "M8 3.500a4.500 4.500 0 1 1-4.500 4.500", false],
  starting: ["busy", "M8 3.500a4.500 4.500 0 1 1-4.500 4.500", false],
  disconnected: ["warn", "M8 12.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9z", false],
  error: ["bad", "M8 3 13.500 12.500h-11z", true],
  paused: ["warn", "M6 4v8M10 4v8", false],
  stopped: ["unknown", "M4 4h8v8H4z", true],
  unknown: ["unknown", "M4 8h8", false],
};

/** @param {{state: string}} props */
export function Mark({ state }) {
  const [colour, path, filled] = SHAPES[/** @type {keyof typeof SHAPES} */ (state)] ?? SHAPES.unknown;
  return html`<svg class=${`mark ${colour}`} viewBox="0 0 16 16" width="12" height="12" aria-hidden="true"
    fill=${filled ? "currentColor" : "none"} stroke="currentColor" stroke-width="2"><path d=${path} /></svg>`;
}

/** The state, since when, and who says so. @param {{bot: import("../house.js").Bot}} props */
export function State({ bot }) {
  const source = bot.source === "connection" ? null : bot.source;
  return html`<span class="state" title=${bot.detail ?? null}><${Mark} state=${bot.state} />
    <span>${t(`state.${bot.state}`)} <span class="muted"><${Age} at=${bot.sinceAt} />${source && ` · ${source}`}</span></span></span>`;
}

/** What a bot does now, in words; null while it rests. @param {import("../house.js").Bot} bot */
export function doing(bot) {
  const detail = bot.activityDetail ?? "";
  switch (bot.activity) {
    case "idle":
      return null;
    case "thinking":
      return t("doing.thinking");
    case "streaming":
      return t("doing.streaming");
    case "tool":
      return detail ? t("doing.tool", { tool: detail }) : t("doing.someTool");
    default:
      // A plugin's own word.
      return detail ? `${bot.activity}: ${detail}` : bot.activity;
  }
}
