// Where alerts are sent, whether they arrive, and a button that tries it.

import { call, path } from "../../api.js";
import { alerts } from "../../containers.js";
import { bots } from "../../house.js";
import { html, useState } from "../../lib.js";
import { Age } from "../../parts/age.js";
import { Empty } from "../../parts/loaded.js";
import { say, sayError } from "../../parts/toast.js";
import { t } from "../../strings.js";
import { clock } from "../../time.js";
import { Head, Shown, useFresh } from "./live.js";
import { Table } from "./table.js";

const SECONDS = 10;

/**
 * @typedef {{state: "sent" | "failed", kind: "open" | "resolved" | "summary", at: number, attempts: number, error: string | null}} Last
 * @typedef {{id: string, name: string, kind: "webhook" | "ntfy" | "apprise", where: string, minSeverity: "info" | "warning" | "critical",
 *   bots: string[], quiet: string | null, timezone: string | null, criticalPasses: boolean, quietUntil: number | null, waiting: number,
 *   held: number, last: Last | null, error: string | null, sinceAt: number | null}} Channel `GET /api/alerts/channels`
 */

/** @param {{channel: Channel, reload: () => void}} props */
function Test({ channel, reload }) {
  const [busy, setBusy] = useState(false);
  async function test() {
    setBusy(true);
    try {
      await call("POST", path`/api/alerts/channels/${channel.id}/test`);
      say(t("admin.alerts.tested", { name: channel.name }));
    } catch (error) {
      sayError(error);
    } finally {
      setBusy(false);
      reload();
    }
  }
  return html`<button type="button" class="button admin-act" disabled=${busy} onClick=${test} aria-label=${t("admin.alerts.testOf", { name: channel.name })}>${t("admin.alerts.test")}</button>`;
}

/** What it gets. @param {Channel} one */
function gets(one) {
  const names = one.bots.map((id) => bots.value.get(id)?.name ?? id).join(", ");
  return html`${t(`admin.alerts.from.${one.minSeverity}`)}<br /><span class="muted">${names ? t("admin.alerts.only", { names }) : t("admin.alerts.all")}</span>`;
}

/** @param {Channel} one */
function quiet(one) {
  if (one.quiet === null) return html`<span class="muted">${t("admin.alerts.never")}</span>`;
  const now = one.quietUntil !== null && html`<br />${t("admin.alerts.quietNow", { time: clock(one.quietUntil), count: one.held })}`;
  return html`<span class="admin-whole">${one.quiet.replace("-", "–")}</span>${one.timezone && html` <span class="admin-whole muted">${one.timezone}</span>`}<br />
    <span class="muted">${t(one.criticalPasses ? "admin.alerts.passes" : "admin.alerts.waits")}</span>${now}`;
}

/** How the last message went, and what is still on its way. @param {Channel} one */
function state(one) {
  const last = one.last && html`${t(`admin.alerts.${one.last.state}`)} <${Age} at=${one.last.at} />
    ${one.last.error && html`<br /><span class="muted">${one.last.error}</span>`}`;
  const trouble = one.error && html`<strong class="admin-state" data-state="restarting">${t("admin.alerts.trying", { count: one.waiting })}</strong>
    ${one.sinceAt !== null && html` <span class="muted"><${Age} at=${one.sinceAt} /></span>`}<br />${one.error}${last && html`<br />`}`;
  return html`${trouble}${last ?? (!trouble && html`<span class="muted">${t("admin.alerts.nothingYet")}</span>`)}`;
}

/** @param {() => void} reload */
const columns = (reload) => /** @type {import("./table.js").Column<Channel>[]} */ ([
  { key: "name", label: t("admin.alerts.channel"), as: "main", cell: (one) => html`<span dir="auto">${one.name}</span><p class="admin-doc muted">${t(`admin.alerts.kind.${one.kind}`)} ${one.where}</p>` },
  { key: "gets", label: t("admin.alerts.gets"), as: "wide", cell: gets },
  { key: "quiet", label: t("admin.alerts.quiet"), as: "wide", cell: quiet },
  { key: "last", label: t("admin.alerts.last"), as: "wide", cell: state },
  { key: "test", label: t("admin.actions"), as: "actions", cell: (one) => html`<${Test} channel=${one} reload=${reload} />` },
]);

export function Alerts() {
  const answer = useFresh((abort) => call("GET", "/api/alerts/channels", undefined, { signal: abort }), [], SECONDS);
  const open = alerts.value.size;
  return html`<${Head} title=${t("admin.alerts")} text=${t("admin.alerts.text")} />
    <p>${open ? html`<a href="/">${t("admin.alerts.open", { count: open })}</a>` : t("admin.alerts.noneOpen")}</p>
    <${Shown} from=${answer}>${(/** @type {{items: Channel[]}} */ value) =>
      value.items.length === 0
        ? html`<${Empty} text=${t("admin.alerts.none")}><pre class="admin-json">[alerts.channels.phone]${"\n"}kind = "ntfy"${"\n"}url_file = "phone.url"</pre><//>`
        : html`<${Table} label=${t("admin.alerts")} columns=${columns(answer.reload)} rows=${value.items} id=${(/** @type {Channel} */ one) => one.id} />`}<//>`;
}
