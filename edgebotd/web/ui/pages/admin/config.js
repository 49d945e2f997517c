// The configuration that the daemon runs with, and where each value comes from. Read-only: it is changed where it stands.

import { call } from "../../api.js";
import { html, useState } from "../../lib.js";
import { Empty } from "../../parts/loaded.js";
import { language, t } from "../../strings.js";
import { FilterField } from "./filter.js";
import { Head, Shown, useFresh, word } from "./live.js";
import { Table } from "./table.js";

/**
 * @typedef {{key: string, value: unknown, secret: boolean, set: boolean, origin: "default" | "file" | "environment" | "flag",
 *   place: string | null, doc: string | null}} Setting
 * @typedef {{file: string | null, items: Setting[]}} Answer `GET /api/config`
 */

/** Settings by what they belong to: `server`, `bots.echo`. @param {Setting[]} items @returns {Map<string, Setting[]>} */
export function grouped(items) {
  /** @type {Map<string, Setting[]>} */
  const groups = new Map();
  for (const setting of items) {
    const parts = setting.key.split(".");
    const name = parts.slice(0, parts[0] === "bots" && parts.length > 2 ? 2 : Math.min(1, parts.length - 1)).join(".");
    groups.set(name, [...(groups.get(name) ?? []), setting]);
  }
  return groups;
}

/** @param {Setting} setting */
function value({ value: it, secret, set }) {
  if (secret) return html`<span class="muted">${t(set ? "admin.config.hidden" : "admin.config.unset")}</span>`;
  if (it === null || it === undefined) return html`<span class="muted">${t("admin.config.unset")}</span>`;
  return html`<code>${typeof it === "string" ? it || '""' : JSON.stringify(it)}</code>`;
}

const columns = () => /** @type {import("./table.js").Column<Setting>[]} */ ([
  { key: "key", label: t("admin.config.setting"), as: "main", cell: (one) => html`<code>${one.key}</code>${one.doc && html`<p class="admin-doc muted">${one.doc}</p>`}` },
  { key: "value", label: t("admin.config.value"), as: "wide", cell: value },
  { key: "origin", label: t("admin.config.origin"), cell: (one) => html`
    <span class=${one.origin === "default" ? "muted" : ""}>${word("admin.origin", one.origin)}</span> ${one.place && html`<span class="muted">${one.place}</span>`}` },
]);

/** @param {{answer: Answer}} props */
function Settings({ answer }) {
  const [text, setText] = useState("");
  const [changed, setChanged] = useState(false);
  const wanted = text.trim().toLowerCase();
  const shown = answer.items.filter((one) => (!changed || one.origin !== "default")
    && (!wanted || `${one.key} ${one.doc ?? ""} ${one.secret ? "" : JSON.stringify(one.value)}`.toLowerCase().includes(wanted)));
  return html`
    <p>${answer.file ? t("admin.config.file", { file: answer.file }) : t("admin.config.noFile")}</p>
    <div class="admin-filters" role="search">
      <${FilterField} text=${text} setText=${setText} />
      <label class="admin-pick"><input type="checkbox" checked=${changed} onChange=${() => setChanged(!changed)} /><span>${t("admin.config.changed")}</span></label>
    </div>
    ${[...grouped(shown)].map(([name, items]) => html`<section key=${name} class="admin-settings">
      <h2>${name || t("admin.config.general")}</h2>
      <${Table} label=${name || t("admin.config.general")} columns=${columns()} rows=${items} id=${(/** @type {Setting} */ one) => one.key} /></section>`)}
    ${!shown.length && html`<${Empty} text=${t("admin.config.none")} />`}`;
}

/** What settings are for, by the English words of the daemon. @returns {Promise<Record<string, string>>} */
async function translated() {
  if (language.value !== "de") return {};
  // Where it can't be had, English tells it too.
  return import("../../strings/settings-de.js").then((module) => module.default, () => ({}));
}

/** @param {AbortSignal} signal @returns {Promise<Answer>} */
async function load(signal) {
  const [answer, words] = await Promise.all([call("GET", "/api/config", undefined, { signal }), translated()]);
  return { ...answer, items: answer.items.map((/** @type {Setting} */ one) => ({ ...one, doc: words[one.doc ?? ""] ?? one.doc })) };
}

export function Config() {
  const answer = useFresh(load, [language.value]);
  return html`<${Head} title=${t("admin.config")} text=${t("admin.config.text")} />
    <${Shown} from=${answer}>${(/** @type {Answer} */ value) => html`<${Settings} answer=${value} />`}<//>`;
}
