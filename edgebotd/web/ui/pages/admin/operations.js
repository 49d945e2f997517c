// Work on the bots' containers, the newest first; each leads to its steps and its log.

import { call, query } from "../../api.js";
import { bots } from "../../house.js";
import { html, useRef } from "../../lib.js";
import { Icon } from "../../parts/icon.js";
import { search } from "../../router.js";
import { useSocketEvent } from "../../socket.js";
import { t } from "../../strings.js";
import { age, full } from "../../time.js";
import { goesOn, placeOf, reasonOf } from "../../work.js";
import { kindWord, stepWord, took, WorkMark } from "../work-parts.js";
import { Head, Shown, useFresh } from "./live.js";
import { Only } from "./only.js";
import { Table } from "./table.js";

/** @typedef {import("../../work.js").Operation} Operation */

const SECONDS = 15;
const MOST = 200;
const LOOK_MS = 1000;

/** @param {Operation} one */
function state(one) {
  const where = one.state === "running" && one.steps.includes(one.step) ? ` · ${stepWord(one.step)}` : "";
  return html`<span class="work-state"><${WorkMark} state=${one.state} /><span>${t(`work.state.${one.state}`)}<span class="muted">${where}</span></span></span>`;
}

const columns = () => /** @type {import("./table.js").Column<Operation>[]} */ ([
  { key: "kind", label: t("work.what"), as: "main", cell: (one) => html`<a href=${placeOf(one.id)}>${kindWord(one)}</a>` },
  { key: "bot", label: t("admin.bot"), sort: (one) => one.botId, cell: (one) => bots.value.has(one.botId) ? html`<a href=${`/bots/${one.botId}`}>${one.botId}</a>` : one.botId },
  { key: "state", label: t("admin.overview.state"), sort: (one) => one.state, cell: state },
  { key: "reason", label: t("work.reason"), as: "wide", cell: reasonOf },
  { key: "user", label: t("admin.users.user"), cell: (one) => one.userId },
  { key: "started", label: t("work.began"), as: "number", sort: (one) => one.startedAt, cell: (one) => html`<span title=${full(one.startedAt)}>${age(one.startedAt)}</span>` },
  { key: "took", label: t("work.lasted"), as: "number", sort: (one) => (goesOn(one) ? null : (one.endedAt ?? 0) - one.startedAt),
    cell: (one) => (goesOn(one) ? "" : took((one.endedAt ?? 0) - one.startedAt)) },
]);

export function Operations() {
  const botId = search.value.get("bot");
  const answer = useFresh((abort) => call("GET", `/api/operations${query({ botId, limit: MOST })}`, undefined, { signal: abort }), [botId], SECONDS);
  const timer = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  // Much may be told at once.
  const soon = () => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      answer.reload();
    }, LOOK_MS);
  };
  useSocketEvent("provision-done", soon);
  useSocketEvent("provision-log", ({ text }) => text === "begins" && soon());
  return html`<${Head} title=${t("admin.operations")} text=${t("work.text")}>
      <a class="button primary" href="/operations/new"><${Icon} name="add" />${t("make.title")}</a><//>
    <${Only} user=${botId} />
    <${Shown} from=${answer}>${(/** @type {{items: Operation[]}} */ { items }) => html`
      <${Table} label=${t("admin.operations")} columns=${columns()} rows=${items} id=${(/** @type {Operation} */ one) => one.id} order=${{ key: "started", down: true }}
        empty=${t("work.none")} words=${(/** @type {Operation} */ one) => `${one.botId} ${one.kind} ${kindWord(one)} ${t(`work.state.${one.state}`)} ${one.userId ?? ""}`} />`}<//>`;
}
