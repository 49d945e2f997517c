// Which bots stand where in the list. Pure.

export const SORTS = /** @type {const} */ (["attention", "busy", "used", "name"]);

/**
 * @typedef {typeof SORTS[number]} Sort
 * @typedef {import("../house.js").Bot} Bot
 * @typedef {{favourites: Set<string>, usedAt: (botId: string) => number, trouble?: (botId: string) => boolean}} Known `trouble`: somebody should look,
 *   though the bot itself does not say so
 */

/** How much a bot wants to be seen. @param {Bot} bot @param {(botId: string) => boolean} trouble */
function urgency(bot, trouble) {
  if (bot.state === "error" || trouble(bot.botId)) return 0;
  if (bot.state === "disconnected" || bot.state === "unknown") return 1;
  return bot.activity === "idle" ? 3 : 2;
}

/** The bots in order, favourites first. @param {Bot[]} bots @param {Sort} sort @param {Known} known */
export function ordered(bots, sort, { favourites, usedAt, trouble = () => false }) {
  const name = (/** @type {Bot} */ a, /** @type {Bot} */ b) => a.name.localeCompare(b.name, undefined, { numeric: true }) || (a.botId < b.botId ? -1 : 1);
  const used = (/** @type {Bot} */ a, /** @type {Bot} */ b) => usedAt(b.botId) - usedAt(a.botId);
  const idle = (/** @type {Bot} */ bot) => Number(bot.activity === "idle");
  const liked = (/** @type {Bot} */ bot) => Number(!favourites.has(bot.botId));
  const by = {
    attention: (/** @type {Bot} */ a, /** @type {Bot} */ b) => urgency(a, trouble) - urgency(b, trouble) || used(a, b) || name(a, b),
    busy: (/** @type {Bot} */ a, /** @type {Bot} */ b) => idle(a) - idle(b) || used(a, b) || name(a, b),
    used: (/** @type {Bot} */ a, /** @type {Bot} */ b) => used(a, b) || name(a, b),
    name,
  };
  return [...bots].sort((a, b) => liked(a) - liked(b) || by[sort](a, b));
}

/** Whether all words typed are somewhere in what a row says. @param {string} row @param {string} text */
export function fits(row, text) {
  const whole = row.toLocaleLowerCase();
  return text.toLocaleLowerCase().split(/\s+/).every((word) => whole.includes(word));
}
