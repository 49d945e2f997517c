// How to bring a container down: what goes on is let finish, ended first, or not waited for.

import { Problem } from "../api.js";
import { actsOn, containers, halt, start } from "../containers.js";
import { bots } from "../house.js";
import { html, signal, useState } from "../lib.js";
import { Dialog } from "../parts/dialog.js";
import { doing } from "../parts/state.js";
import { say, sayError } from "../parts/toast.js";
import { t } from "../strings.js";

/** @typedef {"stop" | "restart"} How */
/** @typedef {"wait" | "abort" | "now"} Way */

const WAYS = /** @type {const} */ (["wait", "abort", "now"]);

/** Which dialog is open. */
const asked = signal(/** @type {{botId: string, how: How} | null} */ (null));

/** Ask how a container is to come down, then do it. @param {string} botId @param {How} how */
export const askHalt = (botId, how) => (asked.value = { botId, how });

/** @param {string} botId @param {string} name */
export async function startBot(botId, name) {
  try {
    await start(botId);
    say(t("cont.asked.start", { name }));
  } catch (error) {
    sayError(error);
  }
}

/** @param {{botId: string, how: How}} props */
function Ask({ botId, how }) {
  const bot = bots.value.get(botId);
  const container = containers.value.get(botId);
  const [way, choose] = useState(/** @type {Way} */ ("wait"));
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);
  const name = bot?.name ?? botId;
  const again = container?.state === "stopping";
  const close = () => (asked.value = null);
  const does = bot && doing(bot);

  /** @param {SubmitEvent} event */
  async function go(event) {
    event.preventDefault();
    setBusy(true);
    setTrouble("");
    try {
      await halt(how, botId, way === "now" ? { now: true } : { drain: way });
      say(t(`cont.asked.${how}`, { name }));
      close();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setTrouble(error.message);
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${t(again ? "halt.again.title" : `halt.${how}.title`, { name })} onClose=${close}><form class="stack" onSubmit=${go}>
    <p>${again ? t("halt.again") : does ? t("halt.busy", { doing: does }) : t("halt.idle")}</p>
    <fieldset class="halt-ways"><legend>${t("halt.how")}</legend>
      ${WAYS.map((one) => html`<label key=${one} class="halt-way"><input type="radio" name="way" value=${one} checked=${way === one} onChange=${() => choose(one)} />
        <span><span>${t(`halt.${one}`)}</span><small class="muted">${t(`halt.${one}.text`)}</small></span></label>`)}</fieldset>
    <p class="muted">${t(how === "restart" ? "halt.kept.restart" : "halt.kept")}</p>
    <p role="alert" class=${trouble ? "trouble" : "visually-hidden"}>${trouble}</p>
    <div class="actions"><button type="button" class="button" onClick=${close}>${t("dialog.cancel")}</button>
      <button class="button danger" disabled=${busy}>${t(`halt.${how}`)}</button></div>
  </form><//>`;
}

/** The dialog, where one was asked for; each page that asks draws it once. */
export function HaltDialog() {
  const now = asked.value;
  return now && html`<${Ask} key=${`${now.how} ${now.botId}`} botId=${now.botId} how=${now.how} />`;
}

/** What may be done now, as buttons. @param {{bot: import("../house.js").Bot, className?: string}} props */
export function Acts({ bot, className = "button" }) {
  const container = containers.value.get(bot.botId);
  if (container === undefined) return null;
  const may = actsOn(container);
  const { botId, name } = bot;
  return html`
    ${may.start && html`<button type="button" class=${className} onClick=${() => startBot(botId, name)}>${t(container.state === "paused" ? "cont.resume" : "cont.start")}</button>`}
    ${may.restart && html`<button type="button" class=${className} onClick=${() => askHalt(botId, "restart")}>${t("cont.restart")}</button>`}
    ${may.stop && html`<button type="button" class=${className} onClick=${() => askHalt(botId, "stop")}>${t("cont.stop")}</button>`}`;
}
