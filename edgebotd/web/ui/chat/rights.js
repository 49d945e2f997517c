// What I may do with a bot, as far as the page knows; the daemon decides.

import { me } from "../house.js";

const ORDER = ["view", "chat", "operate"];

/** @param {string} botId @param {"view" | "chat" | "operate"} wanted */
export function may(botId, wanted) {
  const who = me.value;
  if (who === null) return false;
  if (who.everyBot || who.admin) return true;
  return ORDER.indexOf(who.grants[botId] ?? "") >= ORDER.indexOf(wanted);
}

/** What this user's things are stored under, so that the next one at this browser does not find them. */
export const owner = () => String(me.value?.userId ?? "");
