// The container that a bot runs in: how it is and what may be done to it, what it uses, what it writes.

import { call, path, Problem } from "../api.js";
import { isUp } from "../containers.js";
import { Crashes } from "../container/crashes.js";
import { Acts } from "../container/halt.js";
import { Logs } from "../container/logs.js";
import { Usage } from "../container/usage.js";
import { may, me } from "../house.js";
import { html, useEffect } from "../lib.js";
import { Age } from "../parts/age.js";
import { containerWords } from "../parts/container.js";
import { Empty, useLoaded } from "../parts/loaded.js";
import { Mark } from "../parts/state.js";
import { language, t } from "../strings.js";
import { full, now, size } from "../time.js";
import { ContainerActions, RecentWork } from "./container-admin.js";

/**
 * @typedef {import("../house.js").Bot} Bot
 * @typedef {import("../containers.js").Container} Container
 * @typedef {{image: {reference: string, id: string, digests: string[]} | null,
 *   limits: {memoryBytes: number | null, cpus: number | null, pids: number | null} | null,
 *   ports: {inside: string, address: string, port: number}[], mounts: {kind: string, source: string, path: string, readOnly: boolean}[],
 *   origin: "provisioned" | "adopted" | "file" | null, wanted: "running" | "stopped" | "any" | null,
 *   spec: {image: string, previous?: {spec: {image: string}, at: number} | null} | null}} Details `GET /api/bots/{id}/container`
 * @typedef {{operationId: string, kind: string, state: string, step: string, reason: string | null, doing: string | null, startedAt: number,
 *   endedAt: number | null}} Work `GET /api/bots/{id}/container/operation`
 */

const AGAIN_MS = 2000;
/** A work that failed is told of until it is old. */
const RECENT_MS = 3_600_000;

/** Load what may not be there: another version's route, or rights that are too small. @template T @param {Promise<T>} asked @returns {Promise<T | null>} */
async function orNothing(asked) {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Problem && !error.passing && error.status !== 401) return null;
    throw error;
  }
}

/** Said beside the name. */
const DIGEST = /@sha256:.*$/;

/** @param {{term: string, children: any}} props */
const Row = ({ term, children }) => html`<div class="fact"><dt>${term}</dt><dd>${children}</dd></div>`;

/** What was begun last, while it goes on, or when it has failed. @param {{botId: string, container: Container}} props */
function Doing({ botId, container }) {
  const { state, sinceAt, doing } = container;
  const { value, reload } = useLoaded(async (signal) => {
    const answer = await orNothing(call("GET", path`/api/bots/${botId}/container/operation`, undefined, { signal }));
    return /** @type {Work | null} */ (answer?.operation ?? null);
  }, [botId, state, sinceAt, doing]);
  const going = value !== null && value.endedAt === null;
  useEffect(() => {
    if (!going) return;
    const timer = setInterval(reload, AGAIN_MS);
    return () => clearInterval(timer);
  }, [going]);
  if (doing) return html`<p class="notice going" role="status"><${Mark} state="connecting" /><span>${t("contpage.doing", { doing })}${going && html` <span class="muted"><${Age} at=${value.startedAt} /></span>`}</span></p>`;
  if (value?.state !== "failed" || value.endedAt === null || now.value - value.endedAt > RECENT_MS) return null;
  return html`<div class="notice bad" role="status"><${Mark} state="error" /><div class="need-words"><p>${failedWords(value.kind)} <span class="muted"><${Age} at=${value.endedAt} /></span></p>
    ${value.reason && html`<p>${value.reason}</p>`}</div></div>`;
}

const KINDS = /** @type {const} */ (["start", "stop", "restart", "create", "adopt", "recreate", "upgrade"]);

/** @param {string} kind */
const failedWords = (kind) => t(`contpage.failed.${KINDS.find((one) => one === kind) ?? "other"}`);

const number = (/** @type {number} */ value) => new Intl.NumberFormat(language.value).format(value);

/** @param {{limits: NonNullable<Details["limits"]>}} props */
function Limits({ limits }) {
  const words = [
    limits.memoryBytes && t("contpage.limits.memory", { size: size(limits.memoryBytes) }),
    limits.cpus && t("contpage.limits.cpus", { count: limits.cpus, n: number(limits.cpus) }),
    limits.pids && t("contpage.limits.pids", { count: limits.pids, n: number(limits.pids) }),
  ].filter(Boolean);
  return words.length ? words.join(", ") : html`<span class="muted">${t("contpage.limits.none")}</span>`;
}

/** What it is made of, where I may know. @param {{details: Details}} props */
function Made({ details }) {
  const { image, limits, ports, mounts, origin, spec } = details;
  return html`
    ${image && html`<${Row} term=${t("contpage.image")}><code>${spec?.image ?? image.reference.replace(DIGEST, "")}</code><br /><span class="muted small">${image.digests.length
      ? image.digests.map((one) => html`<code key=${one}>${one.replace(/^.*@/, "")}</code> `)
      : t("contpage.image.local")}</span><//>`}
    ${limits && html`<${Row} term=${t("contpage.limits")}><${Limits} limits=${limits} /><//>`}
    ${ports.length > 0 && html`<${Row} term=${t("contpage.ports")}><ul>${ports.map(({ inside, address, port }) => html`<li key=${inside + port}><code>${address}:${port}</code> <span class="muted">${inside}</span></li>`)}</ul><//>`}
    ${mounts.length > 0 && html`<${Row} term=${t("contpage.mounts")}><ul>${mounts.map(({ source, path: place, readOnly, kind }) => html`<li key=${place}><code>${place}</code> <span class="muted">${[source || kind, readOnly && t("contpage.mount.readOnly")].filter(Boolean).join(", ")}</span></li>`)}</ul><//>`}
    ${origin && html`<${Row} term=${t("contpage.origin")}>${t(`contpage.origin.${origin}`)}<//>`}`;
}

/** @param {{container: Container, answers: boolean, details: Details | null}} props */
function Facts({ container, answers, details }) {
  const { state, health, drift, restarts, source, seenAt, sinceAt } = container;
  const words = containerWords(container, answers);
  return html`<dl class="facts">
    <${Row} term=${t("contpage.state")}>${words.text} <span class="muted">${t("bot.since", { time: full(sinceAt) })} · ${t(`contpage.source.${source}`)} <${Age} at=${seenAt} /></span>
<//>
    ${state === "running" && html`<${Row} term=${t("contpage.health")}>${health ? (answers && health === "starting" ? t("contpage.health.answers") : t(`contpage.health.${health}`)) : html`<span class="muted">${t("contpage.health.none")}</span>`}<//>`}
    <${Row} term=${t("contpage.restarts")}>${restarts > 0 ? t("contpage.restarts.count", { count: restarts }) : html`<span class="muted">${t("contpage.restarts.none")}</span>`}<//>
    <${Row} term=${t("contpage.name")}><code>${container.name}</code>${container.containerId && html` <span class="muted"><code>${container.containerId}</code></span>`}<//>
    ${details ? html`<${Made} details=${details} />` : container.image && html`<${Row} term=${t("contpage.image")}><code>${container.image}</code><//>`}
    ${drift.length > 0 && html`<${Row} term=${t("contpage.drift")}><ul>${drift.map((one) => html`<li key=${one}>${one}</li>`)}</ul><p class="muted small">${t("contpage.drift.text")}</p><//>`}
  </dl>`;
}

/** @param {{bot: Bot, container: Container | undefined}} props */
export function ContainerTab({ bot, container }) {
  const { botId } = bot;
  const { value: details } = useLoaded(async (signal) => {
    const answer = await orNothing(call("GET", path`/api/bots/${botId}/container`, undefined, { signal }));
    return /** @type {Details | null} */ (answer?.details ?? null);
  }, [botId, container?.containerId, container?.state]);
  if (container === undefined) return html`<${Empty} text=${t("contpage.none")} />`;
  const answers = bot.state === "connected";
  const words = containerWords(container, answers);
  const mine = may(botId, "operate");
  return html`<div class="about cont">
    <div class="cont-head"><p class="cont-now"><${Mark} state=${words.mark} /><span>${words.text}${container.state === "running" && container.health === "healthy" && `, ${t("contpage.health.healthy")}`}</span> <span class="muted"><${Age} at=${container.sinceAt} /></span></p>
      <div class="actions start"><${Acts} bot=${bot} /></div></div>
    ${container.detail && html`<p class="cont-why">${container.detail}</p>`}
    <${Doing} botId=${botId} container=${container} />
    <${Usage} botId=${botId} up=${isUp(container) || container.state === "stopping"} />
    <${Facts} container=${container} answers=${answers} details=${details} />
    ${me.value?.admin && details && html`<${ContainerActions} bot=${bot} image=${details.spec?.image ?? details.image?.reference ?? null} previous=${details.spec?.previous ?? null} origin=${details.origin} /><${RecentWork} botId=${botId} />`}
    ${mine && html`<${Crashes} botId=${botId} keys=${[container.state, container.restarts]} /><${Logs} bot=${bot} container=${container} />`}
  </div>`;
}
