// What a bot did besides talking: one line for each tool, with what went in and what came out behind it.

import { html, useState } from "../lib.js";
import { Icon } from "../parts/icon.js";
import { t } from "../strings.js";

const LONGEST = 20_000;

/** @param {unknown} value */
function words(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}\n${t("chat.tool.cut", { count: text.length - LONGEST })}` : text;
}

/** @param {unknown} value One line of what went in. */
function brief(value) {
  if (value === null || value === undefined) return "";
  const first = typeof value === "object" ? Object.values(value).find((one) => typeof one === "string") : value;
  return String(first ?? "").replace(/\s+/g, " ").slice(0, 120);
}

/** @param {{label: string, value: unknown}} props */
function Piece({ label, value }) {
  if (value === null || value === undefined) return null;
  return html`<div class="tool-piece"><span>${label}</span><pre tabindex="0">${words(value)}</pre></div>`;
}

/**
 * @param {{name: string, input?: unknown, result?: import("./types.js").ToolResultPart | null, running?: boolean}} props
 */
export function ToolCard({ name, input, result = null, running = false }) {
  const [open, setOpen] = useState(false);
  const state = running ? t("chat.tool.running") : result?.isError ? t("chat.tool.failed") : "";
  const line = html`<${Icon} name="tool" /><strong>${name || t("chat.tool.unnamed")}</strong><span class="tool-brief" dir="auto">${brief(input)}</span>
    <span class=${result?.isError ? "trouble" : "muted"}>${state}</span>`;
  if ((input === null || input === undefined) && result === null) return html`<div class="tool"><div class="tool-line">${line}</div></div>`;
  return html`<details class="tool" onToggle=${(/** @type {Event} */ event) => setOpen(/** @type {HTMLDetailsElement} */ (event.currentTarget).open)}>
    <summary class="tool-line">${line}<${Icon} name="down" /></summary>
    ${open && html`<div class="tool-body"><${Piece} label=${t("chat.tool.input")} value=${input} />
      <${Piece} label=${t("chat.tool.output")} value=${result?.result} /></div>`}
  </details>`;
}
