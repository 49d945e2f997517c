// Administration and one's own account: who may be here, and which part is shown. A part comes when it is asked for.

import { me } from "../house.js";
import { html } from "../lib.js";
import { lazy } from "../parts/lazy.js";
import { unescaped } from "../router.js";
import { t } from "../strings.js";

/** @param {() => Promise<any>} load @returns {(props: {rest?: string | null}) => any} `rest` is what the path has below */
const part = (load) => lazy(load);

const PARTS = {
  overview: part(() => import("./admin/overview.js").then((module) => module.Overview)),
  users: part(() => import("./admin/users.js").then((module) => module.Users)),
  tokens: part(() => import("./admin/tokens.js").then((module) => module.Tokens)),
  sessions: part(() => import("./admin/sessions.js").then((module) => module.Sessions)),
  connections: part(() => import("./admin/connections.js").then((module) => module.Connections)),
  alerts: part(() => import("./admin/alerts.js").then((module) => module.Alerts)),
  operations: part(() => import("./admin/operations.js").then((module) => module.Operations)),
  images: part(() => import("./admin/images.js").then((module) => module.Images)),
  disk: part(() => import("./admin/disk.js").then((module) => module.DiskUse)),
  audit: part(() => import("./admin/audit.js").then((module) => module.Audit)),
  events: part(() => import("./admin/events.js").then((module) => module.Events)),
  config: part(() => import("./admin/config.js").then((module) => module.Config)),
};
const Account = part(() => import("./account.js").then((module) => module.Account));

/** @typedef {keyof typeof PARTS} PartName */

/** @param {{here: PartName}} props */
function Menu({ here }) {
  return html`<nav class="admin-menu" aria-label=${t("admin.menu")}>
    ${/** @type {PartName[]} */ (Object.keys(PARTS)).map((name) => html`
      <a key=${name} href=${name === "overview" ? "/admin" : `/admin/${name}`} aria-current=${name === here ? "page" : null}>
        ${t(`admin.${name}`)}</a>`)}
  </nav>`;
}

/** @param {{title: string, text: string, to: string, go: string}} props */
function Notice({ title, text, to, go }) {
  return html`<div class="centred"><h1>${title}</h1><p>${text}</p><p><a class="button" href=${to}>${go}</a></p></div>`;
}

/** @param {{path: string}} props */
export function AdminPage({ path }) {
  if (path === "/account") return html`<div class="admin admin-alone"><div class="admin-part"><${Account} /></div></div>`;
  if (!me.value?.admin) {
    return html`<${Notice} title=${t("admin.closed.title")} text=${t("admin.closed.text")} to="/account" go=${t("admin.closed.go")} />`;
  }
  const [, , name = "overview", below] = path.split("/");
  const rest = below ? unescaped(below) : null;
  if (!Object.hasOwn(PARTS, name) || (below && rest === null)) {
    return html`<${Notice} title=${t("notFound.title")} text=${t("notFound.text")} to="/admin" go=${t("admin.menu")} />`;
  }
  const here = /** @type {PartName} */ (name);
  return html`<div class=${here === "overview" ? "admin admin-first" : "admin"}>
    <${Menu} here=${here} />
    <div class="admin-part"><${PARTS[here]} key=${here} rest=${rest} /></div>
  </div>`;
}
