// How the daemon is: version, running time, streams, jobs, and whatever else it says of its health.

import { call } from "../../api.js";
import { html, signal } from "../../lib.js";
import { useSocketEvent } from "../../socket.js";
import { t } from "../../strings.js";
import { age, full } from "../../time.js";
import { Head, Shown, useFresh, word } from "./live.js";
import { Table } from "./table.js";

const SECONDS = 10;

/** @typedef {{job: string, state: string, detail: string | null, restarts: number, at: number}} Job `job:status` */
/** @typedef {{version: string, startedAt: number, streams: number | null, health: Record<string, unknown> | null}} Status */

/** What the channel has told since the page was loaded; newer than what was asked for. */
const told = signal(/** @type {Map<string, Job>} */ (new Map()));

/**
 * Return values that may stand within others as rows of a name and a word.
 *
 * @param {unknown} value @param {string} name @returns {[string, string][]}
 */
export function flat(value, name) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, inner]) => flat(inner, name ? `${name}.${key}` : key));
  }
  return [[name, typeof value === "string" ? value : JSON.stringify(value)]];
}

const columns = () => /** @type {import("./table.js").Column<Job>[]} */ ([
  { key: "job", label: t("admin.overview.job"), as: "main", cell: (job) => job.job },
  { key: "state", label: t("admin.overview.state"), cell: (job) => html`<span class="admin-state" data-state=${job.state}>${word("admin.job", job.state)}</span>, ${age(job.at)}` },
  { key: "restarts", label: t("admin.overview.restarts"), as: "number", cell: (job) => job.restarts },
  { key: "detail", label: t("admin.overview.detail"), as: "wide", cell: (job) => job.detail },
]);

/** @param {{status: Status}} props */
function Facts({ status }) {
  const { jobs = [], ...health } = /** @type {{jobs?: Job[]}} */ (status.health ?? {});
  const newest = jobs.map((job) => {
    const later = told.value.get(job.job);
    return later && later.at >= job.at ? later : job;
  });
  return html`
    <dl class="admin-facts">
      <div><dt>${t("admin.overview.version")}</dt><dd>${status.version}</dd></div>
      <div><dt>${t("admin.overview.running")}</dt><dd title=${full(status.startedAt)}>${age(status.startedAt)}</dd></div>
      <div><dt>${t("admin.overview.streams")}</dt><dd><a href="/admin/connections">${status.streams}</a></dd></div>
      ${flat(health, "").map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
    </dl>
    <section><h2>${t("admin.overview.jobs")}</h2>
      <${Table} label=${t("admin.overview.jobs")} columns=${columns()} rows=${newest} id=${(/** @type {Job} */ job) => job.job} />
    </section>`;
}

export function Overview() {
  const status = useFresh((abort) => call("GET", "/api/status", undefined, { signal: abort }), [], SECONDS);
  useSocketEvent("job:status", (job) => (told.value = new Map(told.value).set(job.job, job)));
  return html`<${Head} title=${t("admin.overview")} />
    <${Shown} from=${status}>${(/** @type {Status} */ value) => html`<${Facts} status=${value} />`}<//>`;
}
