// Who did what to which bot, when, from where: the audit, newest first, as far back as it goes.

import { call, Problem, query } from "../../api.js";
import { botList } from "../../house.js";
import { html, useEffect, useRef, useState } from "../../lib.js";
import { Icon } from "../../parts/icon.js";
import { Failed, Loading, useLoaded } from "../../parts/loaded.js";
import { navigate, search } from "../../router.js";
import { useSocketEvent } from "../../socket.js";
import { t } from "../../strings.js";
import { full } from "../../time.js";
import { Head, word } from "./live.js";
import { loadUsers } from "./people.js";
import { Table } from "./table.js";

const PAGE = 100;
const PAGES_AT_ONCE = 10; // how far one look reaches back for rows that a filter hides
const ENOUGH = 50;
const NEAR = "400px"; // below the view: whoever goes down row by row never sees the end itself

/**
 * @typedef {{id: number, at: number, actor: string, actorKind: string, action: string, subject: string, botId: string | null,
 *   address: string | null, detail: Record<string, unknown>}} AuditEntry `GET /api/audit`
 * @typedef {{user: string, bot: string, group: string}} Filter empty: everything
 * @typedef {{items: AuditEntry[], next: string | null, reached: number | null, enough: boolean}} Found `reached`: the time of
 *   the oldest entry that was looked at
 */

/** Actions by what people look for. */
const GROUPS = /** @type {const} */ ({
  login: ["login", "logout", "setup", "session"], user: ["user", "code"], grant: ["grant"], token: ["token"], bot: ["bot"], chat: ["chat", "conversation"],
  account: ["profile"], house: ["image", "alert"],
});
/** @typedef {keyof typeof GROUPS} Group */

/** Whether an entry passes; the API itself filters by bot only. @param {AuditEntry} entry @param {Filter} filter */
export function passes(entry, { user, group }) {
  const wanted = /** @type {readonly string[] | undefined} */ (GROUPS[/** @type {Group} */ (group)]);
  return (!user || entry.actor === user || entry.subject === user) && (!wanted || wanted.includes(entry.action.split(".")[0]));
}

/**
 * Read on until there is enough to show, or it was far enough for once.
 *
 * @param {Filter} filter @param {string | null} before @param {AbortSignal} signal @returns {Promise<Found>}
 */
async function readOn(filter, before, signal) {
  /** @type {Found} */
  const found = { items: [], next: before, reached: null, enough: true };
  for (let pages = 0; pages < PAGES_AT_ONCE; pages += 1) {
    const page = await call("GET", `/api/audit${query({ bot: filter.bot || null, limit: PAGE, before: found.next })}`, undefined, { signal });
    found.items.push(...page.items.filter((/** @type {AuditEntry} */ entry) => passes(entry, filter)));
    found.next = page.next;
    found.reached = page.items.at(-1)?.at ?? found.reached;
    if (found.next === null || found.items.length >= ENOUGH) return found;
  }
  return { ...found, enough: false };
}

/** @param {AuditEntry} entry */
function what(entry) {
  const { subject, botId, detail } = entry;
  const [of, kind, end] = entry.action.split(".");
  if (of === "bot" && end !== undefined) {
    // Work that went on by itself has ended, or somebody has ended it.
    const values = { bot: botId ?? subject, kind: word("work.kind", kind), state: word("work.state", end) };
    return t(end === "cancel" ? "admin.audit.cancelled" : "admin.audit.outcome", values);
  }
  const values = { subject, bot: botId ?? "", grant: word("admin.grant", String(detail.grant ?? "")) };
  const text = word("admin.audit", entry.action, values);
  return text === entry.action ? [entry.action, subject, botId].filter(Boolean).join(" ") : text;
}

/** What else is known, as pairs of a name and a word. @param {AuditEntry} entry */
function pairs({ detail }) {
  const known = Object.entries(detail).filter(([name, value]) => name !== "grant" && value !== null && String(value) !== "");
  return known.length > 0 && html`<span class="admin-pairs">${known.map(([name, value]) => `${name} ${Array.isArray(value) ? value.join(", ") : value}`).join(" · ")}</span>`;
}

const columns = () => /** @type {import("./table.js").Column<AuditEntry>[]} */ ([
  { key: "at", label: t("admin.audit.when"), cell: (entry) => full(entry.at) },
  { key: "actor", label: t("admin.audit.who"), cell: (entry) => html`<b>${entry.actor}</b> <span class="muted">${word("admin.actor", entry.actorKind)}</span>` },
  { key: "what", label: t("admin.audit.what"), as: "main", cell: what },
  { key: "address", label: t("admin.address"), cell: (entry) => entry.address },
  { key: "detail", label: t("admin.details"), as: "wide", cell: pairs },
]);

/** @param {Partial<Filter>} change @param {Filter} filter */
function refine(change, filter) {
  const { user, bot, group } = { ...filter, ...change };
  navigate(`/admin/audit${query({ user: user || null, bot: bot || null, group: group || null })}`, { replace: true });
}

/** @param {{filter: Filter}} props */
function Filters({ filter }) {
  const users = useLoaded(loadUsers, []);
  const names = [...new Set([...(users.value ?? []).map((user) => user.id), "local", "system", ...(filter.user ? [filter.user] : [])])];
  const bots = botList.value.map((bot) => ({ id: bot.botId, text: bot.name }));
  // One that is gone, or that is asked for by a link.
  if (filter.bot && !bots.some((bot) => bot.id === filter.bot)) bots.push({ id: filter.bot, text: filter.bot });
  /** @param {keyof Filter} name @param {string} label @param {{id: string, text: string}[]} options */
  const choice = (name, label, options) => html`<label class="field"><span>${label}</span>
    <select class="input" value=${filter[name]} onChange=${(/** @type {any} */ event) => refine({ [name]: event.target.value }, filter)}>
      <option value="">${t("admin.all")}</option>
      ${options.map(({ id, text }) => html`<option key=${id} value=${id} selected=${filter[name] === id}>${text}</option>`)}</select></label>`;
  return html`<div class="admin-filters" role="search">
    ${choice("user", t("admin.users.user"), names.map((id) => ({ id, text: id })))}
    ${choice("bot", t("admin.bot"), bots)}
    ${choice("group", t("admin.audit.group"), /** @type {Group[]} */ (Object.keys(GROUPS)).map((id) => ({ id, text: t(`admin.audit.group.${id}`) })))}
  </div>`;
}

/** The end of the list: reads on as soon as it is seen. @param {{onSeen: () => void}} props */
function End({ onSeen }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) onSeen();
    }, { root: element.current?.closest(".page") ?? null, rootMargin: NEAR });
    if (element.current) observer.observe(element.current);
    return () => observer.disconnect();
  }, [onSeen]);
  return html`<div ref=${element}><${Loading} rows=${1} /></div>`;
}

/** @param {{filter: Filter, turn: number}} props `turn`: another one looks again from the newest */
function Entries({ filter, turn }) {
  const [found, setFound] = useState(/** @type {Found | null} */ (null));
  const [error, setError] = useState(/** @type {Problem | null} */ (null));
  const busy = useRef(/** @type {AbortController | null} */ (null));

  /** @param {Found | null} so far; null: from the newest */
  async function more(so) {
    busy.current?.abort();
    const abort = (busy.current = new AbortController());
    try {
      const page = await readOn(filter, so?.next ?? null, abort.signal);
      setFound({ ...page, items: [...(so?.items ?? []), ...page.items] });
      setError(null);
    } catch (failed) {
      if (abort.signal.aborted) return;
      if (!(failed instanceof Problem)) throw failed;
      setError(failed);
    }
  }

  useEffect(() => {
    more(null);
    return () => busy.current?.abort();
  }, [turn]);
  useSocketEvent("gap", () => more(null));

  if (found === null) return error ? html`<${Failed} error=${error} retry=${() => more(null)} />` : html`<${Loading} rows=${8} />`;
  return html`
    ${(found.items.length > 0 || found.next === null) && html`<${Table} label=${t("admin.audit")} columns=${columns()} rows=${found.items}
      id=${(/** @type {AuditEntry} */ entry) => entry.id} empty=${t("admin.audit.none")} />`}
    ${error && html`<${Failed} error=${error} retry=${() => more(found)} />`}
    ${!error && found.next !== null && (found.enough
      ? html`<${End} key=${found.next} onSeen=${() => more(found)} />`
      : html`<div class="empty"><p>${t("admin.audit.reached", { at: full(found.reached ?? 0) })}</p>
        <button class="button" onClick=${() => more(found)}>${t("admin.audit.further")}</button></div>`)}`;
}

export function Audit() {
  const [turn, setTurn] = useState(0);
  const wanted = search.value;
  const filter = { user: wanted.get("user") ?? "", bot: wanted.get("bot") ?? "", group: wanted.get("group") ?? "" };
  return html`<${Head} title=${t("admin.audit")} text=${t("admin.audit.text")}>
      <button class="button" onClick=${() => setTurn(turn + 1)}><${Icon} name="retry" />${t("admin.audit.newer")}</button><//>
    <${Filters} filter=${filter} />
    <${Entries} key=${JSON.stringify(filter)} filter=${filter} turn=${turn} />`;
}
