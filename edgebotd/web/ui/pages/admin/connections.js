// Who is on the live channel, and how earlier streams began and ended.

import { call } from "../../api.js";
import { html } from "../../lib.js";
import { t } from "../../strings.js";
import { age, full, size } from "../../time.js";
import { Head, Shown, useFresh, word } from "./live.js";
import { Table } from "./table.js";

const SECONDS = 3;

/**
 * @typedef {{streamId: string, userId: string, address: string, sinceAt: number, ageSeconds: number, queuedBytes: number,
 *   verdict: string, state: string, transport: string, bots: string[] | null, types: string[] | null}} Connection
 * @typedef {{items: Connection[], opened: Record<string, number>, closed: Record<string, number>, refused: Record<string, number>}} Answer
 *   `GET /api/connections`
 */

/** What a stream was narrowed to. @param {Connection} one */
function narrowed(one) {
  const parts = [...(one.bots ?? []), ...(one.types ?? [])];
  return parts.length ? parts.join(", ") : t("admin.connections.everything");
}

/** Of one that is being ended, why. @param {Connection} one */
const standing = ({ state }) => word(state === "live" || state === "replaying" ? "admin.stream" : "admin.closed", state);

const columns = () => /** @type {import("./table.js").Column<Connection>[]} */ ([
  { key: "user", label: t("admin.users.user"), as: "main", sort: (one) => one.userId, cell: (one) => one.userId },
  { key: "address", label: t("admin.address"), sort: (one) => one.address, cell: (one) => one.address },
  { key: "age", label: t("admin.connections.open"), as: "number", sort: (one) => one.ageSeconds,
    cell: (one) => html`<span title=${full(one.sinceAt)}>${age(one.sinceAt)}</span>` },
  { key: "queued", label: t("admin.connections.queued"), as: "number", sort: (one) => one.queuedBytes, cell: (one) => size(one.queuedBytes) },
  { key: "verdict", label: t("admin.connections.verdict"), sort: (one) => one.verdict, cell: (one) => word("admin.verdict", one.verdict) },
  { key: "state", label: t("admin.connections.state"), sort: (one) => one.state, cell: standing },
  { key: "transport", label: t("admin.connections.transport"), cell: (one) => word("admin.transport", one.transport) },
  { key: "narrowed", label: t("admin.connections.narrowed"), as: "wide", cell: narrowed },
]);

/** @param {{title: string, counts: Record<string, number>, prefix: string}} props */
function Counts({ title, counts, prefix }) {
  const rows = Object.entries(counts).toSorted(([, one], [, other]) => other - one);
  return html`<section class="admin-counts"><h2>${title}</h2>
    ${rows.length ? html`<dl>${rows.map(([reason, count]) => html`<div key=${reason}><dt>${word(prefix, reason)}</dt><dd>${count}</dd></div>`)}</dl>`
    : html`<p class="muted">${t("admin.connections.noneYet")}</p>`}</section>`;
}

export function Connections() {
  const answer = useFresh((abort) => call("GET", "/api/connections", undefined, { signal: abort }), [], SECONDS);
  return html`<${Head} title=${t("admin.connections")} text=${t("admin.connections.text")} />
    <${Shown} from=${answer}>${(/** @type {Answer} */ value) => html`
      <${Table} label=${t("admin.connections")} columns=${columns()} rows=${value.items} order=${{ key: "queued", down: true }}
        id=${(/** @type {Connection} */ one) => one.streamId} empty=${t("admin.connections.none")} />
      <div class="admin-counts-all">
        <${Counts} title=${t("admin.connections.opened")} counts=${value.opened} prefix="admin.verdict" />
        <${Counts} title=${t("admin.connections.closed")} counts=${value.closed} prefix="admin.closed" />
        <${Counts} title=${t("admin.connections.refused")} counts=${value.refused} prefix="admin.refused" />
      </div>`}<//>`;
}
