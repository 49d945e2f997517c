// What the page knows of the house, as signals that the channel keeps true: who I am, the bots and what they do.

import { call, forbidden } from "./api.js";
import { computed, signal } from "./lib.js";
import { socket } from "./socket.js";

/**
 * @typedef {"view" | "chat" | "operate"} Grant
 * @typedef {{userId: string, name: string, admin: boolean, kind: string, everyBot: boolean, grants: Record<string, Grant>,
 *   surface?: "dashboard" | "chat" | "bot", hostBotId?: string | null, remoteImages?: boolean, [key: string]: any}} Me `GET /api/me`
 * @typedef {"connected" | "connecting" | "disconnected" | "starting" | "stopped" | "error" | "unknown"} BotState
 * @typedef {{botId: string, name: string, kind: string, state: BotState, reason?: string | null, detail?: string | null,
 *   source: string, sinceAt: number, activity: string, activityDetail?: string | null}} Bot `bots-status-update`
 */

const RENEW_MS = 60_000;
const RANK = { view: 1, chat: 2, operate: 3 };

/** Who is signed in; null while nobody is. */
export const me = signal(/** @type {Me | null} */ (null));

/** All bots that I may see, by id. */
export const bots = signal(/** @type {Map<string, Bot>} */ (new Map()));

/** Whether the first snapshot has come. */
export const known = signal(false);

export const botList = computed(() => [...bots.value.values()]);

/** Which pages this host shows. */
export const surface = computed(() => me.value?.surface ?? "dashboard");

/** Whether I may do something with a bot. @param {string} botId @param {Grant} grant */
export function may(botId, grant) {
  const who = me.value;
  if (who === null) return false;
  if (who.everyBot) return true;
  return (RANK[who.grants[botId]] ?? 0) >= RANK[grant];
}

/** Whether a bot waits for a person: trying again alone will not help. @param {Bot} bot */
export const needsPerson = (bot) => bot.state === "error";

/** Whether a bot is at something. @param {Bot} bot */
export const busy = (bot) => bot.activity !== "idle";

let askedAt = 0;

/** Ask who is signed in. Another person begins anew, with nothing of the one before. Throws a `Problem`. */
export async function loadMe() {
  askedAt = Date.now();
  const who = await call("GET", "/api/me");
  if (me.value !== null && me.value.userId !== who.userId) {
    location.reload();
    // Nothing is shown to them of what is still here.
    await new Promise(() => {});
  }
  me.value = who;
}

/** Ask again; what does not come through now comes with the next reason to ask, or the login. */
function renewMe() {
  loadMe().catch(() => {});
}

/** Put a bot's newest facts in place. @param {string} botId @param {Partial<Bot>} news */
function change(botId, news) {
  const bot = bots.value.get(botId);
  if (bot !== undefined) bots.value = new Map(bots.value).set(botId, { ...bot, ...news });
}

/** Keep these signals true from now on. */
export function startHouse() {
  socket.on("bots-status-update", (event) => {
    const before = bots.value;
    bots.value = new Map(event.bots.map((/** @type {Bot} */ bot) => [bot.botId, bot]));
    const others = before.size !== bots.value.size || [...before.keys()].some((id) => !bots.value.has(id));
    // Other bots are other grants.
    if (known.value && others) renewMe();
    known.value = true;
  });
  // A grant that only became larger or smaller is no event: it shows when something is refused, or when one comes back.
  forbidden.subscribe((count) => count > 0 && renewMe());
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && me.value !== null && Date.now() - askedAt > RENEW_MS) renewMe();
  });
  socket.on("bot:status", ({ botId, state, reason, detail, source, sinceAt }) =>
    change(botId, { state, reason, detail, source, sinceAt }),
  );
  socket.on("bot-activity", ({ botId, activity, detail }) => change(botId, { activity, activityDetail: detail }));
}
