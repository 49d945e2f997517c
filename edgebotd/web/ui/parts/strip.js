// How the line is: a word in the top bar, and a thin strip while not all is well.

import { html } from "../lib.js";
import { socket } from "../socket.js";
import { t } from "../strings.js";
import { now } from "../time.js";
import { Mark } from "./state.js";

// A line that is back in a moment needs no strip that pushes the page down.
const PATIENCE_MS = 1500;

/** @type {Record<import("../socket.js").Phase, string>} */
const MARKS = {
  live: "connected", polling: "connected", connecting: "connecting", "catching-up": "connecting", busy: "connecting", idle: "unknown",
  offline: "disconnected", "signed-out": "stopped",
};

/** In a word, for the top bar. */
export function Line() {
  const { phase } = socket.state.value;
  return html`<span class="line"><${Mark} state=${MARKS[phase]} /><span>${t(`line.short.${phase}`)}</span></span>`;
}

export function Strip() {
  const { phase, since, behind } = socket.state.value;
  const well = phase === "live" || phase === "idle";
  const passing = phase === "connecting" || phase === "catching-up";
  const shown = !well && (!passing || now.value - since > PATIENCE_MS);
  const words = phase === "catching-up" && behind > 0 ? t("line.behind", { count: behind }) : t(`line.${phase}`);
  // One element for both, so that what is read out is only what changes.
  return html`<div role="status" class=${shown ? "strip" : "visually-hidden"}>${shown || well ? words : ""}</div>`;
}
