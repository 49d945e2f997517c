// The daemon itself, at the foot of the dashboard.

import { call } from "../api.js";
import { me } from "../house.js";
import { html, useEffect, useState } from "../lib.js";
import { Age } from "../parts/age.js";
import { useLoaded } from "../parts/loaded.js";
import { Mark } from "../parts/state.js";
import { useSocketEvent } from "../socket.js";
import { t } from "../strings.js";

const AGAIN_MS = 30_000;

/** @typedef {{job: string, state: string, detail?: string | null, restarts: number, at: number}} Job */

/** @type {Record<string, string>} */
const MARKS = { running: "connected", waiting: "connected", restarting: "disconnected", failed: "error", stopped: "stopped" };

/** @param {{job: Job}} props */
function JobWord({ job }) {
  return html`<span class="sys" title=${job.detail ?? null}><${Mark} state=${MARKS[job.state] ?? "unknown"} /><span>${job.job} ${t(`job.${/** @type {"running"} */ (job.state)}`)}${
    job.restarts > 0 && ` · ${t("job.restarts", { count: job.restarts })}`}</span></span>`;
}

export function SystemStrip() {
  const { value, reload } = useLoaded((signal) => call("GET", "/api/status", undefined, { signal }), []);
  const [news, setNews] = useState(/** @type {Map<string, Job>} */ (new Map()));
  useEffect(() => {
    const timer = setInterval(() => document.hidden || reload(), AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  useSocketEvent("job:status", (event) => setNews((before) => new Map(before).set(event.job, event)));
  useSocketEvent("hello", reload);
  if (value === null) return html`<footer class="system"></footer>`;
  const jobs = [...new Map([...(value.health?.jobs ?? []).map((/** @type {Job} */ job) => [job.job, job]), ...news]).values()];
  return html`<footer class="system small muted">
    <span class="sys">edgebotd ${value.version}</span>
    <span class="sys"><span>${t("sys.started")} <${Age} at=${value.startedAt} /></span></span>
    ${value.streams !== null && value.streams !== undefined && html`<span class="sys">${t("sys.streams", { count: value.streams })}</span>`}
    ${me.value?.admin && jobs.map((job) => html`<${JobWord} key=${job.job} job=${job} />`)}
  </footer>`;
}
