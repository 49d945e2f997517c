// The bots' containers and what needs a person, as signals that the channel keeps true; and what may be done to them.

import { call, path, Problem } from "./api.js";
import { whenBack } from "./back.js";
import { docker } from "./docker.js";
import { may, me } from "./house.js";
import { computed, effect, signal } from "./lib.js";
import { socket } from "./socket.js";

/**
 * @typedef {"created" | "running" | "paused" | "restarting" | "stopping" | "removing" | "exited" | "missing" | "unknown"} ContainerState
 * @typedef {{name: string, containerId?: string | null, botId?: string | null, image?: string | null, state: ContainerState,
 *   health?: "starting" | "healthy" | "unhealthy" | null, exitCode?: number | null, oomKilled: boolean, restarts: number, crashLoop: boolean,
 *   doing?: string | null, detail?: string | null, drift: string[], source: "event" | "list" | "call", sinceAt: number, seenAt: number}} Container
 * @typedef {{alertId: string, botId?: string | null, severity: "info" | "warning" | "critical", state: "open" | "resolved", title: string,
 *   detail?: string | null, at: number}} Alert
 * @typedef {{drain?: "wait" | "abort", seconds?: number, now?: boolean}} Halt how to bring one down
 */

/** By bot. A bot that runs elsewhere has none. */
export const containers = computed(() => {
  const found = /** @type {Map<string, Container>} */ (new Map());
  for (const one of docker.value?.containers ?? []) if (one.botId) found.set(one.botId, /** @type {Container} */ (one));
  return found;
});

/** Null until it is told. */
export const engine = computed(() => docker.value?.engine ?? null);

export const pulls = computed(() => docker.value?.pulls ?? []);

/** What needs a person, by the alert's id. */
export const alerts = signal(/** @type {Map<string, Alert>} */ (new Map()));

/** Whether somebody should look at a container. @param {Container | undefined} one */
export const inTrouble = (one) =>
  one !== undefined && (one.crashLoop || one.state === "missing" || one.health === "unhealthy" || (one.state === "exited" && one.oomKilled));

/** Whether its processes are there. @param {Container} one */
export const isUp = (one) => one.state === "running" || one.state === "paused" || one.state === "restarting";

const STARTABLE = new Set(["created", "exited", "paused"]);

/** What I may do with a container as it is now. @param {Container} one @returns {{start: boolean, stop: boolean, restart: boolean}} */
export function actsOn(one) {
  const mine = one.botId !== null && one.botId !== undefined && may(one.botId, "operate");
  const free = mine && !one.doing;
  return { start: free && STARTABLE.has(one.state), stop: mine && (isUp(one) || one.state === "stopping"), restart: free && one.state === "running" };
}

/** @param {string} botId */
export const start = (botId) => call("POST", path`/api/bots/${botId}/container/start`);

/** Asked again while it goes on, it is quicker, as asked. @param {"stop" | "restart"} how @param {string} botId @param {Halt} halt */
export const halt = (how, botId, halt) => call("POST", path`/api/bots/${botId}/container/` + how, halt);

/** Told while the open ones are asked for: they count, whatever the answer says. @type {Alert[] | null} */
let told = null;
let turn = 0;

/** @param {Map<string, Alert>} all @param {Alert} alert */
function fold(all, alert) {
  if (alert.state === "open") all.set(alert.alertId, alert);
  else all.delete(alert.alertId);
  return all;
}

/** The channel tells what changes; what is open already is asked for. */
async function loadAlerts() {
  const mine = (turn += 1);
  told = [];
  try {
    const { items } = await call("GET", "/api/alerts");
    if (mine !== turn) return;
    alerts.value = (told ?? []).reduce(fold, new Map(items.map((/** @type {Alert} */ one) => [one.alertId, one])));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (mine === turn && error.passing) {
      const off = whenBack(() => {
        off();
        loadAlerts();
      });
    }
  }
  if (mine === turn) told = null;
}

/** Keep these signals true from now on. */
export function startContainers() {
  socket.on("alert", (event) => {
    told?.push(event);
    alerts.value = fold(new Map(alerts.value), event);
  });
  socket.on("gap", loadAlerts);
  let who = /** @type {string | null} */ (null);
  effect(() => {
    const now = me.value?.userId ?? null;
    if (now !== null && now !== who) loadAlerts();
    who = now;
  });
}
