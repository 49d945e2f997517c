// What the page knows of the house, as signals that the channel keeps true: who I am, the bots and what they do.

import { call } from "./api.js";
import { computed, signal } from "./lib.js";
import { socket } from "./socket.js";

/**
 * @typedef {{id: string, name: string, admin: boolean, kind: string, grants: Record<string, string>, [key: string]: any}} Me `GET /api/me`
 * @typedef {"connected" | "connecting" | "disconnected" | "starting" | "stopped" | "error" | "unknown"} BotState
 * @typedef {{botId: string, name: string, kind: string, state: BotState, reason?: string, detail?: string, source: string,
 *   sinceAt: number, activity: string, activityDetail?: string}} Bot `bots-status-update`
 */

/** Who is signed in; null while nobody is. */
export const me = signal(/** @type {Me | null} */ (null));

/** All bots that I may see, by id. */
export const bots = signal(/** @type {Map<string, Bot>} */ (new Map()));

/** Whether the first snapshot has come. */
export const known = signal(false);

export const botList = computed(() => [...bots.value.values()]);

/** Ask who is signed in. Throws a `Problem`. */
export async function loadMe() {
  me.value = await call("GET", "/api/me");
}

/** Keep these signals true from now on. */
export function startHouse() {
  socket.on("bots-status-update", (event) => {
    bots.value = new Map(event.bots.map((/** @type {Bot} */ bot) => [bot.botId, bot]));
    known.value = true;
  });
}
