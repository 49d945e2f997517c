// Every bot at a glance.

import { botList } from "../house.js";
import { html } from "../lib.js";

export function Dashboard() {
  return html`<ul>${botList.value.map((bot) => html`<li key=${bot.botId}><a href=${`/bots/${bot.botId}`}>${bot.name}</a> ${bot.state}</li>`)}</ul>`;
}
