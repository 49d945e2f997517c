// With leave, the browser tells when a reply is ready or something needs a person while no tab of ours is in view.

import { bots, needsPerson } from "../house.js";
import { signal } from "../lib.js";
import { navigate } from "../router.js";
import { socket } from "../socket.js";
import { t } from "../strings.js";
import { conversationsOf } from "./conversations.js";
import { read, write } from "./stored.js";

const STORED = "edgebotd.notify";
const SEEN = "edgebotd.seen"; // held, shared, by each tab that is in view
const TELLS = "edgebotd.tells"; // held by the one tab that tells
const FRESH_MS = 120_000; // what was missed for longer is not told one by one
const LONGEST = 140;

/** Whether the browser can at all; plain HTTP to another machine cannot. */
export const possible = "Notification" in window && isSecureContext && "locks" in navigator;

const chosen = () => read(STORED) === true && possible && Notification.permission === "granted";

/** Whether it is wished and allowed. */
export const telling = signal(chosen());

/** Ask for leave, or stop. Only ever called by a person's own click. @param {boolean} wanted @returns {Promise<boolean>} false: refused */
export async function setTelling(wanted) {
  if (wanted && (await Notification.requestPermission()) !== "granted") {
    telling.value = false;
    return false;
  }
  write(STORED, wanted);
  telling.value = wanted;
  return true;
}

let tells = false;

async function inView() {
  const { held = [] } = await navigator.locks.query();
  return held.some((lock) => lock.name === SEEN);
}

/** @type {((value?: unknown) => void) | null} */
let leave = null;

function watchView() {
  if (document.hidden) {
    leave?.();
    leave = null;
  } else if (leave === null) {
    navigator.locks.request(SEEN, { mode: "shared" }, () => new Promise((resolve) => (leave = resolve)));
  }
}

/** @param {string} title @param {string} body @param {string} tag @param {string} to */
async function tell(title, body, tag, to) {
  if (!tells || !chosen() || (await inView())) return;
  const shown = new Notification(title, { body: body.length > LONGEST ? `${body.slice(0, LONGEST)}…` : body, tag, icon: "/ui/icon.svg" });
  shown.onclick = () => {
    window.focus();
    navigate(to);
    shown.close();
  };
}

/** @param {import("./types.js").Message} message */
function reply(message) {
  if (message.role !== "assistant" || message.editedAt || Date.now() - message.createdAt > FRESH_MS) return;
  const row = conversationsOf(message.botId).rows.value.get(message.conversationId);
  // What a bot says to others, by its own channels and clocks, is no reply to anybody here.
  if (row && row.conversation.source !== "edgebotd") return;
  const text = message.parts.find((part) => part.type === (message.state === "final" ? "text" : "error"));
  const words = text?.type === "text" ? text.text : text?.type === "error" ? text.message : t(`chat.state.${message.state}`);
  tell(bots.value.get(message.botId)?.name ?? message.botId, words, message.runId, `/chat/${message.botId}/${message.conversationId}`);
}

if (possible) {
  navigator.locks.request(TELLS, () => {
    tells = true;
    return new Promise(() => {}); // until this tab is closed
  });
  document.addEventListener("visibilitychange", watchView);
  watchView();
  addEventListener("storage", (event) => {
    if (event.key === STORED) telling.value = chosen();
  });
  socket.on("chat-message", ({ message }) => reply(message));
  socket.on("bot:status", ({ botId, state, detail, sinceAt }) => {
    const bot = bots.value.get(botId);
    if (bot && needsPerson({ ...bot, state }) && Date.now() - sinceAt < FRESH_MS) {
      tell(bot.name, detail ?? t("state.error"), `${botId}-${sinceAt}`, `/bots/${botId}`);
    }
  });
  socket.on("alert", (event) => {
    if (event.state === "open" && Date.now() - event.at < FRESH_MS) tell(event.title, event.detail ?? "", event.alertId, event.botId ? `/bots/${event.botId}` : "/");
  });
}
