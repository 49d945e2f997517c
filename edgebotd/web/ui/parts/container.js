// How a bot's container is, in words; shape and colour repeat them.

import { engine } from "../containers.js";
import { html } from "../lib.js";
import { t } from "../strings.js";
import { Age } from "./age.js";
import { doing, Mark, State } from "./state.js";

/**
 * @typedef {import("../containers.js").Container} Container
 * @typedef {{mark: string, text: string, matters: boolean}} Words `matters`: said beside, or in place of, how the bot is
 */

/** Ended by whoever asked: nothing, ^C, SIGKILL, SIGTERM. */
const ASKED = new Set([0, 130, 137, 143]);

/** @param {Container} one @returns {Words} */
function ended(one) {
  if (one.oomKilled) return { mark: "error", text: t("cont.oom"), matters: true };
  const code = one.exitCode ?? 0;
  if (code === 0) return { mark: "stopped", text: t("cont.exited"), matters: true };
  return { mark: ASKED.has(code) ? "stopped" : "disconnected", text: t("cont.exited.code", { code }), matters: true };
}

/** @returns {Words} */
function unsure() {
  const state = engine.value?.state;
  const text = state === "down" ? t("cont.unknown.down") : state === "frozen" ? t("cont.unknown.frozen") : state === "none" ? t("cont.unknown.none") : t("cont.unknown");
  return { mark: "unknown", text, matters: state !== "unknown" };
}

/**
 * @param {Container} one
 * @param {boolean} [answers] whether its bot is connected: its own check may come minutes after it is there
 * @returns {Words}
 */
export function containerWords(one, answers = false) {
  if (one.state === "unknown") return unsure();
  if (one.state === "stopping") return { mark: "connecting", text: t("cont.stopping"), matters: true };
  if (one.crashLoop) return { mark: "error", text: t("cont.crashLoop"), matters: true };
  switch (one.state) {
    case "running":
      if (one.health === "unhealthy") return { mark: "disconnected", text: t("cont.unhealthy"), matters: true };
      if (one.health === "starting" && !answers) return { mark: "connecting", text: t("cont.starting"), matters: false };
      return { mark: "connected", text: t("cont.running"), matters: false };
    case "exited":
      return ended(one);
    case "missing":
      return { mark: "error", text: t("cont.missing"), matters: true };
    case "paused":
      return { mark: "paused", text: t("cont.paused"), matters: true };
    case "created":
      return { mark: "stopped", text: t("cont.created"), matters: true };
    default:
      return { mark: "connecting", text: t(`cont.${one.state}`), matters: true };
  }
}

/** The state of a container, and since when. @param {{container: Container}} props */
export function ContainerState({ container }) {
  const { mark, text } = containerWords(container);
  return html`<span class="state" title=${container.detail ?? null}><${Mark} state=${mark} />
    <span>${text} <span class="muted"><${Age} at=${container.sinceAt} /></span></span></span>`;
}

/**
 * A bot's state where it has a container: a connection that holds, and what needs a person, say most; else its container
 * says why there is none.
 *
 * @param {{bot: import("../house.js").Bot, container: Container | undefined}} props
 */
export function BotState({ bot, container }) {
  const words = container && containerWords(container);
  if (!words?.matters || container === undefined) return html`<${State} bot=${bot} />`;
  if (bot.state !== "connected" && bot.state !== "error") return html`<${ContainerState} container=${container} />`;
  return html`<span class="state" title=${[bot.detail, container.detail].filter(Boolean).join(" ") || null}><${Mark} state=${bot.state === "error" ? "error" : words.mark} />
    <span>${t(`state.${bot.state}`)} <span class="muted"><${Age} at=${bot.sinceAt} /></span> · ${words.text}</span></span>`;
}

/** What goes on with a bot: what is done to its container comes first. @param {import("../house.js").Bot} bot @param {Container | undefined} container */
export const goingOn = (bot, container) => (container?.doing ? t("cont.doing", { doing: container.doing }) : doing(bot));
