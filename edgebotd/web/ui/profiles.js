// Logins at model providers, as the API lists them, and how much of each is used, as the channel tells it.

import { call, path, Problem } from "./api.js";
import { signal, useEffect, useRef } from "./lib.js";
import { useLoaded } from "./parts/loaded.js";
import { socket, useSocketEvent } from "./socket.js";

/**
 * @typedef {{botId: string, generation: number | null, current: boolean, at: number | null, error: string | null}} Delivered
 * @typedef {"static" | "fresh" | "refreshing" | "backoff" | "uncertain" | "needs_login" | "misconfigured"} ProfileState
 * @typedef {{id: string, provider: string, providerName: string, type: "oauth" | "token" | "api_key", state: ProfileState, expired: boolean,
 *   expiresAt: number | null, bots: string[], delivered: Delivered[] | null, owner: "edgebotd" | "gateway" | "external" | null, place: string | null, label: string | null,
 *   accountId: string | null, fingerprint: string | null, reason: string | null, refreshedAt: number | null, nextAt: number | null,
 *   createdAt: number | null, changedAt: number | null}} Profile `GET /api/profiles`
 * @typedef {{id: string, name: string, methods: ("browser" | "device")[], usage: boolean}} Provider
 * @typedef {{items: Profile[], providers: Provider[]}} Profiles
 * @typedef {{id: string, label: string, usedPercent: number, windowSeconds?: number | null, resetsAt?: number | null, scope?: string | null,
 *   runsOutAt?: number | null}} Window
 * @typedef {{type: "balance" | "budget" | "spend", unit: string, amount?: number | null, used?: number | null, limit?: number | null,
 *   period?: string | null}} Billing
 * @typedef {{kind: string, status?: number | null, detail: string, sinceAt: number, retryAt?: number | null}} UsageError
 * @typedef {{profileId: string, botIds: string[], plan?: string | null, windows: Window[], billing: Billing[], fetchedAt?: number | null,
 *   error?: UsageError | null, removed?: boolean}} Usage `auth-profiles:usage-updated`
 */

const SOON_MS = 300;
const AGAIN_MS = 60_000;

/** By the login's id; those of which nothing is told have none. */
export const usage = signal(/** @type {Map<string, Usage>} */ (new Map()));

/** Take what was told of the use of accounts. @param {Usage[]} told */
function take(told) {
  const all = new Map(usage.value);
  for (const event of told) {
    if (event.removed) all.delete(event.profileId);
    else all.set(event.profileId, event);
  }
  usage.value = all;
}

// From the start: the snapshot tells it once.
socket.on("auth-profiles:usage-updated", (/** @type {Usage} */ event) => take([event]));

/** Ask a provider now. Throws a `Problem` where it may not be asked yet. @param {string} id @returns {Promise<Usage>} */
export async function askNow(id) {
  const event = /** @type {Usage} */ (await call("POST", path`/api/profiles/${id}/usage`));
  take([event]);
  return event;
}

/** Keep the ages of figures true while they are looked at: that one was asked for and is the same as before is no event. */
export function useAges() {
  useEffect(() => {
    const look = async () => {
      if (document.hidden) return;
      try {
        take((await call("GET", "/api/usage")).items);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        // The line says that nobody can be reached, and the ages go on.
      }
    };
    look();
    const timer = setInterval(look, AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
}

/** Whether a bot uses an account, as far as I may know. @param {string} botId */
export function useHasAccount(botId) {
  const { value } = useProfiles([botId]);
  return value?.items.some((one) => one.bots.includes(botId)) ?? [...usage.value.values()].some((one) => one.botIds.includes(botId));
}

/** What a login is called by people. @param {Profile} one */
export const nameOf = (one) => one.label ?? (one.id.slice(one.provider.length + 1) || one.id);

/** Where one reads more of a login. @param {string} id */
export const placeOf = (id) => `/accounts/${encodeURIComponent(id)}`;

/**
 * The logins that I may see, read again when one has changed: administrators are told of each change, others of those
 * that show in what is told of its use.
 *
 * @param {unknown[]} [keys]
 */
export function useProfiles(keys = []) {
  const loaded = useLoaded((abort) => /** @type {Promise<Profiles>} */ (call("GET", "/api/profiles", undefined, { signal: abort })), keys);
  const timer = useRef(0);
  const soon = () => {
    clearTimeout(timer.current);
    timer.current = setTimeout(loaded.reload, SOON_MS);
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  useSocketEvent("auth-profiles:refreshed", soon);
  useSocketEvent("auth-profiles:usage-updated", soon);
  useSocketEvent("alert", ({ alertId }) => alertId.startsWith("profile:") && soon());
  useSocketEvent("gap", soon);
  useEffect(() => {
    const seen = () => document.hidden || soon();
    document.addEventListener("visibilitychange", seen);
    return () => document.removeEventListener("visibilitychange", seen);
  }, []);
  return loaded;
}
