// Logins: one's own, and for administrators everybody's.

import { call, path, query } from "../../api.js";
import { me } from "../../house.js";
import { html } from "../../lib.js";
import { say, sayError } from "../../parts/toast.js";
import { search } from "../../router.js";
import { t } from "../../strings.js";
import { age, full } from "../../time.js";
import { Head, Shown, useFresh } from "./live.js";
import { Only } from "./only.js";
import { Table } from "./table.js";

const SECONDS = 30;

/**
 * @typedef {{id: string, userId?: string, current: boolean, createdAt: number, seenAt: number, expiresAt: number,
 *   address: string | null, userAgent: string | null}} SessionInfo `GET /api/sessions`
 */

const BROWSERS = /** @type {const} */ ([["Edg/", "Edge"], ["OPR/", "Opera"], ["Firefox/", "Firefox"], ["HeadlessChrome/", "Chrome"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]]);
const SYSTEMS = /** @type {const} */ ([["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS X", "macOS"], ["CrOS", "ChromeOS"], ["Linux", "Linux"]]);

/** The browser and system in what a browser calls itself, in the words that people know. @param {string | null} agent */
export function device(agent) {
  if (!agent) return t("admin.sessions.unknown");
  const browser = BROWSERS.find(([mark]) => agent.includes(mark))?.[1];
  const system = SYSTEMS.find(([mark]) => agent.includes(mark))?.[1];
  if (!browser) return agent.slice(0, 60);
  return system ? t("admin.sessions.device", { browser, system }) : browser;
}

/** Load logins. @param {boolean} all everybody's @returns {(abort: AbortSignal) => Promise<SessionInfo[]>} */
const load = (all) => async (abort) =>
  (await call("GET", `/api/sessions${query({ all: all || null })}`, undefined, { signal: abort })).items;

/** @param {boolean} all */
export const useSessions = (all) => useFresh(load(all), [all], SECONDS);

/** End a login. @param {SessionInfo} session @param {() => void} reload */
async function end(session, reload) {
  try {
    await call("DELETE", path`/api/sessions/${session.id}`);
    say(t("admin.sessions.ended"));
  } catch (error) {
    sayError(error);
  }
  reload();
}

/** @param {boolean} all @param {() => void} reload */
const columns = (all, reload) => /** @type {import("./table.js").Column<SessionInfo>[]} */ ([
  ...(all ? [{ key: "user", label: t("admin.users.user"), as: "main", sort: (/** @type {SessionInfo} */ one) => one.userId,
    cell: (/** @type {SessionInfo} */ one) => html`<a href=${`/admin/users/${one.userId}`}>${one.userId}</a>` }] : []),
  { key: "device", label: t("admin.sessions.deviceHead"), as: all ? "wide" : "main", cell: (one) => html`<span title=${one.userAgent}>${device(one.userAgent)}</span>` },
  { key: "address", label: t("admin.address"), cell: (one) => one.address },
  { key: "seen", label: t("admin.sessions.seen"), as: "number", sort: (one) => one.seenAt, cell: (one) => html`<span title=${full(one.seenAt)}>${age(one.seenAt)}</span>` },
  { key: "created", label: t("admin.sessions.since"), as: "number", sort: (one) => one.createdAt, cell: (one) => html`<span title=${full(one.createdAt)}>${age(one.createdAt)}</span>` },
  { key: "expires", label: t("admin.expires"), as: "number", sort: (one) => one.expiresAt, cell: (one) => full(one.expiresAt) },
  { key: "end", label: t("admin.actions"), as: "actions", cell: (one) => one.current
    ? html`<span class="muted">${t("admin.sessions.current")}</span>`
    : html`<button class="button admin-act" onClick=${() => end(one, reload)}>${t("admin.sessions.end")}</button>` },
]);

/** @param {{items: SessionInfo[], all: boolean, reload: () => void}} props */
export function SessionTable({ items, all, reload }) {
  return html`<${Table} label=${t("admin.sessions")} columns=${columns(all, reload)} rows=${items} order=${{ key: "seen", down: true }}
    id=${(/** @type {SessionInfo} */ one) => one.id} empty=${t("admin.sessions.none")}
    words=${(/** @type {SessionInfo} */ one) => `${one.userId ?? ""} ${device(one.userAgent)} ${one.address ?? ""}`} />`;
}

export function Sessions() {
  const sessions = useSessions(true);
  const user = search.value.get("user");
  return html`<${Head} title=${t("admin.sessions")} text=${t("admin.sessions.text")} />
    <${Only} user=${user} />
    <${Shown} from=${sessions}>${(/** @type {SessionInfo[]} */ items) => {
      const own = me.value?.userId;
      const rows = items.map((one) => ({ userId: own, ...one })).filter((one) => user === null || one.userId === user);
      return html`<${SessionTable} items=${rows} all reload=${sessions.reload} />`;
    }}<//>`;
}
