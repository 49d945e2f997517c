// Below /operations: a new bot, adopting one, and each piece of work at an address of its own.

import { me } from "../house.js";
import { html } from "../lib.js";
import { match } from "../router.js";
import { t } from "../strings.js";
import { AdoptPage } from "./adopt.js";
import { NewBotPage } from "./new-bot.js";
import { OperationPage } from "./operation.js";

/** @param {{path: string}} props */
export function OperationsPage({ path }) {
  if (!me.value?.admin) {
    return html`<div class="centred"><h1>${t("admin.closed.title")}</h1><p>${t("admin.closed.text")}</p><p><a class="button" href="/">${t("notFound.home")}</a></p></div>`;
  }
  const { id } = match("/operations/:id", path) ?? {};
  if (id === "new") return html`<${NewBotPage} />`;
  if (id === "adopt") return html`<${AdoptPage} />`;
  if (id) return html`<${OperationPage} key=${id} id=${id} />`;
  return html`<div class="centred"><h1>${t("notFound.title")}</h1><p>${t("notFound.text")}</p><p><a class="button" href="/admin/operations">${t("admin.operations")}</a></p></div>`;
}
