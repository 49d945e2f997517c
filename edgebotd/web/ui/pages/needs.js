// What needs a person: the words, the command, another try. Not there while nothing does.

import { call, path, Problem } from "../api.js";
import { botList, me, may, needsPerson } from "../house.js";
import { html, useState } from "../lib.js";
import { Age } from "../parts/age.js";
import { Command } from "../parts/copy.js";
import { useLoaded } from "../parts/loaded.js";
import { Mark } from "../parts/state.js";
import { say, sayError } from "../parts/toast.js";
import { t } from "../strings.js";
import { containerNeeds } from "./needs-containers.js";

/** Try to connect a bot now. @param {string} botId */
export const retry = (botId) => call("POST", path`/api/bots/${botId}/retry`);

/** A button that tries again, and says that it does. @param {{bot: import("../house.js").Bot}} props */
export function RetryButton({ bot }) {
  const [busy, setBusy] = useState(false);
  async function tryAgain() {
    setBusy(true);
    try {
      await retry(bot.botId);
      say(t("needs.trying", { name: bot.name }));
    } catch (error) {
      sayError(error);
    } finally {
      setBusy(false);
    }
  }
  return html`<button type="button" class="button" disabled=${busy} onClick=${tryAgain}>${t("loading.retry")}</button>`;
}

/** The command that mends it, where there is one and I may see it. @param {{bot: import("../house.js").Bot}} props */
export function Mending({ bot }) {
  const { value } = useLoaded(
    async (signal) => {
      try {
        return await call("GET", path`/api/bots/${bot.botId}`, undefined, { signal });
      } catch (error) {
        // A bot that is gone meanwhile leaves the list by itself.
        if (error instanceof Problem && !signal.aborted) return null;
        throw error;
      }
    },
    [bot.botId, bot.state, bot.reason, bot.detail],
  );
  const command = value?.extra?.command;
  return command ? html`<p class="mend">${t("needs.command")}</p><${Command} text=${command} />` : null;
}

/** @param {{bot: import("../house.js").Bot}} props */
function Need({ bot }) {
  const mine = may(bot.botId, "operate");
  return html`<li class="need"><${Mark} state="error" />
    <div class="need-words"><p><a data-row href=${`/bots/${bot.botId}/about`} dir="auto">${bot.name}</a> <span class="muted"><${Age} at=${bot.sinceAt} /></span></p>
      <p>${bot.detail ?? t("needs.unknown")}</p>
      ${mine ? html`<${Mending} bot=${bot} />` : html`<p class="muted">${t("needs.askOperator")}</p>`}</div>
    ${mine && html`<div class="need-do"><${RetryButton} bot=${bot} />
      ${me.value?.admin && html`<a class="link" href=${`/bots/${bot.botId}/about`}>${t("needs.settings")}</a>`}</div>`}</li>`;
}

export function Needs() {
  const list = botList.value.filter(needsPerson);
  const others = containerNeeds();
  const count = list.length + others.length;
  const mild = list.length === 0 && !others.some((one) => one.bad);
  // The region stays, so that what comes into it is read out.
  return html`<section aria-live="polite" aria-label=${t("needs.label")} class=${count === 0 ? "visually-hidden" : mild ? "needs mild" : "needs"}>
    ${count > 0 && html`<h2>${t("needs.title", { count })}</h2><ul>${list.map((bot) => html`<${Need} key=${bot.botId} bot=${bot} />`)}${others.map((one) => one.node)}</ul>`}
  </section>`;
}
