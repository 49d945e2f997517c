// The daemon itself, at the foot of the dashboard.

import { call } from "../api.js";
import { engine, pulls } from "../containers.js";
import { me } from "../house.js";
import { html, useEffect, useState } from "../lib.js";
import { Age } from "../parts/age.js";
import { useLoaded } from "../parts/loaded.js";
import { Mark } from "../parts/state.js";
import { placeOf, usage } from "../profiles.js";
import { useSocketEvent } from "../socket.js";
import { t } from "../strings.js";
import { now } from "../time.js";

const AGAIN_MS = 30_000;

/** @typedef {{job: string, state: string, detail?: string | null, restarts: number, at: number}} Job */

/** @type {Record<string, string>} */
const MARKS = { running: "connected", waiting: "connected", restarting: "disconnected", failed: "error", stopped: "stopped" };

/** @param {{job: Job}} props */
function JobWord({ job }) {
  return html`<span class="sys" title=${job.detail ?? null}><${Mark} state=${MARKS[job.state] ?? "unknown"} /><span>${job.job} ${t(`job.${/** @type {"running"} */ (job.state)}`)}${
    job.restarts > 0 && ` · ${t("job.restarts", { count: job.restarts })}`}</span></span>`;
}

/** Those that are well in one word, the others by name. @param {{jobs: Job[]}} props */
function JobWords({ jobs }) {
  const well = jobs.filter((job) => MARKS[job.state] === "connected" && job.restarts === 0);
  return html`${well.length > 0 && html`<span class="sys" title=${well.map(({ job }) => job).sort().join(", ")}><${Mark} state="connected" /><span>${t("sys.jobs", { count: well.length })}</span></span>`}
    ${jobs.filter((job) => !well.includes(job)).map((job) => html`<${JobWord} key=${job.job} job=${job} />`)}`;
}

/** @type {Record<string, string>} */
const ENGINE_MARKS = { up: "connected", down: "error", frozen: "error", none: "stopped" };

/** How the container engine is; where it is not well, what to do. */
function EngineWord() {
  const now = engine.value;
  if (now === null) return null;
  const { state, detail } = now;
  const words = html`<${Mark} state=${ENGINE_MARKS[state] ?? "unknown"} /><span>${t(`sys.engine.${state}`, { kind: now.kind ?? t("sys.engine.some"), version: now.version ?? "" })}${
    (state === "down" || state === "frozen") && html` <${Age} at=${now.sinceAt} />`}</span>`;
  if (!detail || state === "up") return html`<span class="sys" title=${detail ?? null}>${words}</span>`;
  return html`<details class="sys-more"><summary><span class="sys">${words}</span></summary><p>${detail}</p></details>`;
}

/** The account that is used most, and whether the figures of one are old. */
function AccountWords() {
  const all = [...usage.value.values()];
  const windows = all.flatMap((one) => (one.error ? [] : one.windows.filter((window) => !window.resetsAt || window.resetsAt > now.value).map((window) => ({ ...window, name: one.profileId }))));
  const most = windows.length ? windows.reduce((a, b) => (b.usedPercent > a.usedPercent ? b : a)) : null;
  // Of a login that is not well the alerts tell; without figures there are none to renew.
  const troubled = all.filter((one) => one.error && one.error.kind !== "unsupported" && (one.fetchedAt || one.error.kind !== "auth")).length;
  return html`${most && html`<span class="sys"><${Mark} state=${most.usedPercent >= 95 ? "error" : most.usedPercent >= 80 ? "disconnected" : "connected"} />
      <a class="link" href=${placeOf(most.name)}>${t("sys.account", { name: most.name, label: most.label, n: Math.round(most.usedPercent) })}</a></span>`}
    ${troubled > 0 && html`<span class="sys"><${Mark} state="unknown" /><a class="link" href="/accounts">${t("sys.accounts.trouble", { count: troubled })}</a></span>`}`;
}

/** @param {{pull: import("../docker.js").Pull}} props */
function PullWord({ pull }) {
  const { image, bytesDone, bytesTotal } = pull;
  const text = bytesTotal ? t("sys.pull.percent", { image, n: Math.floor((100 * bytesDone) / bytesTotal) }) : t("sys.pull", { image });
  return html`<span class="sys"><${Mark} state="connecting" /><span>${text}</span></span>`;
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
    ${me.value?.admin && html`<${EngineWord} />${pulls.value.map((pull) => html`<${PullWord} key=${pull.image} pull=${pull} />`)}`}
    ${me.value?.admin && html`<${JobWords} jobs=${jobs} /><${AccountWords} />`}
  </footer>`;
}
