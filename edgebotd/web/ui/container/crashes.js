// How a bot's container ended by itself, with what it wrote last.

import { call, path } from "../api.js";
import { html } from "../lib.js";
import { Age } from "../parts/age.js";
import { Failed, useLoaded } from "../parts/loaded.js";
import { t } from "../strings.js";

/** @typedef {{at: number, exitCode: number | null, oomKilled: boolean, detail: string, lines: string[]}} Crash */

/** @param {{botId: string, keys: unknown[]}} props `keys`: asked for again when one changes */
export function Crashes({ botId, keys }) {
  const { value, error, reload } = useLoaded(async (signal) => {
    const { items } = await call("GET", path`/api/bots/${botId}/container/crashes`, undefined, { signal });
    return /** @type {Crash[]} */ (items);
  }, [botId, ...keys]);
  if (value === null) return error && html`<${Failed} error=${error} retry=${reload} />`;
  if (value.length === 0) return null;
  return html`<section class="crashes" aria-label=${t("crash.title")}><h2>${t("crash.title")}</h2>
    <ul>${value.map(({ at, detail, lines }) => html`<li key=${at} class="crash"><details><summary>${detail} <span class="muted"><${Age} at=${at} /></span></summary>
      ${lines.length === 0 ? html`<p class="muted small">${t("crash.noLines")}</p>` : html`<pre tabindex="0" dir="ltr" aria-label=${t("crash.lines")} role="region">${lines.join("\n")}</pre>`}</details></li>`)}</ul></section>`;
}
