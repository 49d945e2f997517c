// The timeline as it is seen: messages, days between them, the line above what is new, what is being written, what waits.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib.js";
import { Icon } from "../parts/icon.js";
import { Empty, Failed, Loading } from "../parts/loaded.js";
import { navigate } from "../router.js";
import { t } from "../strings.js";
import { day } from "../time.js";
import { Asked, Leaving, Reply } from "./message.js";
import { begun, outbox } from "./outbox.js";
import { owner } from "./owner.js";
import { chatPath, NEW, sought } from "./paths.js";
import { runById, runsIn, runsVersion } from "./runs.js";
import { Keeper } from "./scroll.js";
import { keyOf } from "./timeline.js";

/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./outbox.js").Entry} Entry */

const CLOCKS_DIFFER_MS = 60_000;

/** The newest message when an entry was first seen: what was said before it is not it, in the same words or with none. @type {Map<string, number>} */
const seenAfter = new Map();

/** @param {Entry} entry @param {Message[]} messages */
function newestBefore(entry, messages) {
  let seq = seenAfter.get(entry.id);
  if (seq === undefined) {
    // One from before this page was opened may have arrived meanwhile.
    seq = entry.at < performance.timeOrigin ? 0 : Math.max(0, ...messages.map((message) => message.seq ?? 0));
    seenAfter.set(entry.id, seq);
  }
  return seq;
}

/**
 * Entries of the outbox that belong here. One whose message has come already is left out: the answer to its sender is on
 * its way.
 *
 * @param {string} botId @param {string | null} conversationId @param {string | null} group @param {Message[]} messages
 */
function leaving(botId, conversationId, group, messages) {
  const here = outbox.value.filter((entry) => {
    if (entry.botId !== botId) return false;
    if (conversationId === null) return entry.conversationId === null && entry.group === group;
    return (entry.conversationId ?? begun.value[entry.group ?? ""]) === conversationId;
  });
  const matched = new Set();
  return here.filter((entry) => {
    const before = newestBefore(entry, messages);
    const triedAt = entry.triedAt;
    if (triedAt === null || entry.refused !== null) return true;
    const come = messages.findLast((message) => message.role === "user" && message.userId === owner() && !matched.has(message.id)
      && (message.seq ?? Infinity) > before && message.createdAt >= triedAt - CLOCKS_DIFFER_MS && message.createdAt >= entry.at - CLOCKS_DIFFER_MS
      && (message.parts.find((part) => part.type === "text")?.type === "text" ? message.parts.some((part) => part.type === "text" && part.text === entry.text) : entry.text === ""));
    if (come) matched.add(come.id);
    return come === undefined;
  });
}

/**
 * @param {{botId: string, conversationId: string | null, group: string | null, timeline: import("./timeline.js").Timeline | null, doing: import("./message.js").Doing,
 *   readSeq: number | null, wanted: string | null, sent: number, onSeen: (seq: number) => void,
 *   outboxDoing: {again: (entry: Entry) => void, edit: (entry: Entry) => void, withdraw: (entry: Entry) => void}}} props
 *   `readSeq`: the read marker as this conversation was opened, null while it is not known; `sent`: grows when I have sent something
 */
export function Lines({ botId, conversationId, group, timeline, doing, readSeq, wanted, sent, onSeen, outboxDoing }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const keeper = useRef(/** @type {Keeper | null} */ (null));
  const opened = useRef(false);
  const shown = useRef(/** @type {string | null} */ (null));
  const [away, setAway] = useState(false);
  const [held, setHeld] = useState(false); // the way to the newest has the focus, and stays until it has not
  const [line, setLine] = useState(/** @type {number | null} */ (null)); // what lies behind it is new
  const seenSeq = useRef(0);

  const state = timeline?.state.value ?? "ready";
  // What was deleted is not shown on, nor what a bot still says to it.
  const messages = state === "gone" ? [] : (timeline?.messages.value ?? []);
  runsVersion.value;

  useLayoutEffect(() => {
    if (!box.current || !list.current) return;
    const made = (keeper.current = new Keeper(box.current, list.current, {
      onNear: (end) => void (opened.current && (end === "older" ? timeline?.loadOlder() : timeline?.loadNewer())),
      onMove: moved,
      mayStick: () => timeline?.atEnd ?? true,
    }));
    return () => made.close();
  }, [timeline]);

  function moved() {
    const view = keeper.current;
    if (view === null) return;
    setAway(!view.stuck);
    const rows = /** @type {HTMLElement[]} */ (view.seen());
    if (timeline) {
      timeline.stuck = view.stuck;
      timeline.looked = view.stuck ? null : (rows.find((row) => row.dataset.seq)?.dataset.id ?? null);
    }
    if (document.hidden || !opened.current) return;
    const seqs = rows.map((row) => Number(row.dataset.seq ?? 0));
    const seq = Math.max(0, ...seqs);
    if (seq > seenSeq.current) {
      seenSeq.current = seq;
      onSeen(seq);
    }
  }

  useEffect(() => {
    document.addEventListener("visibilitychange", moved);
    return () => document.removeEventListener("visibilitychange", moved);
  }, [timeline]);

  // The line stands where one had read to, when one comes; and above what came while one did not look.
  const newest = messages.findLast((message) => message.userId !== owner())?.seq ?? 0;
  useLayoutEffect(() => {
    if (opened.current && line === null && newest > seenSeq.current && seenSeq.current > 0 && (document.hidden || away)) setLine(seenSeq.current);
  }, [newest]);
  useEffect(() => {
    if (sent === 0) return;
    setLine(null);
    if (timeline && !timeline.atEnd) timeline.load();
    keeper.current?.toEnd();
    leaveFound();
  }, [sent]);

  useLayoutEffect(() => {
    const view = keeper.current;
    if (view === null) return;
    const goal = `${wanted} ${sought.value}`;
    if (wanted && shown.current !== goal && state === "ready") {
      const row = find(wanted);
      if (row) {
        shown.current = goal;
        opened.current = true;
        view.show(row, "center");
        return;
      }
    }
    if (!opened.current && state === "ready" && readSeq !== null && (!wanted || messages.length > 0)) {
      opened.current = true;
      const unread = readSeq > 0 ? messages.find((message) => (message.seq ?? 0) > readSeq && message.userId !== owner()) : undefined;
      seenSeq.current = readSeq;
      if (unread && newest > readSeq) setLine(readSeq);
      view.settle();
      const row = unread ? find(unread.id) : null;
      if (row && row.getBoundingClientRect().top < (box.current?.getBoundingClientRect().top ?? 0)) view.show(row, "start");
      else view.toEnd();
      return;
    }
    view.settle();
  });

  /** @param {string} id */
  const find = (id) => list.current?.querySelector(`[data-id="${CSS.escape(id)}"]`) ?? null;

  /** One has gone on: the address does not lead back to what was looked for. */
  function leaveFound() {
    if (wanted) navigate(chatPath(botId, conversationId), { replace: true });
  }

  async function toNewest() {
    setLine(null);
    if (timeline && !timeline.atEnd) await timeline.load();
    keeper.current?.toEnd();
    leaveFound();
    // The button goes once the focus has left it.
    box.current?.focus({ preventScroll: true });
  }

  /** @param {FocusEvent} event */
  function leftNewest({ currentTarget }) {
    // In another window it is told so too, and has it back with this one.
    if (document.activeElement !== currentTarget) setHeld(false);
  }

  const waiting = leaving(botId, conversationId, group, messages);
  const rows = [];
  let lastDay = "";
  let lineDrawn = line === null;
  for (const message of messages) {
    const its = new Date(message.createdAt).toDateString();
    // By its message, as what a gateway had before comes in with older times: a day may stand there twice.
    if (its !== lastDay) rows.push(html`<div key=${`d:${keyOf(message)}`} class="day">${day(message.createdAt)}</div>`);
    lastDay = its;
    if (!lineDrawn && (message.seq ?? 0) > (line ?? 0) && message.userId !== owner()) {
      rows.push(html`<div key="new" class="new-line" role="separator"><span>${t("chat.new")}</span></div>`);
      lineDrawn = true;
    }
    const found = message.id === wanted;
    const run = runById(message.runId);
    rows.push(message.role === "user"
      ? html`<${Asked} key=${keyOf(message)} message=${message} run=${run} doing=${doing} found=${found} />`
      : html`<${Reply} key=${keyOf(message)} botId=${botId} message=${message} doing=${doing} found=${found} />`);
  }
  const told = new Set(messages.map(keyOf));
  if (conversationId !== null && state !== "gone" && (timeline?.atEnd ?? true)) {
    for (const run of runsIn(conversationId)) {
      const key = `assistant:${run.runId}`;
      if (run.state !== "queued" && !told.has(key)) rows.push(html`<${Reply} key=${key} botId=${botId} run=${run} doing=${doing} found=${false} />`);
    }
  }
  for (const entry of waiting) {
    rows.push(html`<${Leaving} key=${`p:${entry.id}`} entry=${entry} chat=${doing.chat} onAgain=${() => outboxDoing.again(entry)} onEdit=${() => outboxDoing.edit(entry)} onWithdraw=${() => outboxDoing.withdraw(entry)} />`);
  }
  const fresh = (timeline?.unseen.value ?? 0) + messages.filter((message) => (message.seq ?? 0) > seenSeq.current && message.userId !== owner()).length;
  const behind = timeline !== null && timeline !== undefined && !timeline.atEnd;

  return html`<div class="lines-frame">
    <section class="lines" ref=${box} tabindex="0" aria-label=${t("chat.messages")}>
      ${timeline?.busy.value === "older" && html`<div class="more" aria-hidden="true">${t("chat.loadingOlder")}</div>`}
      <div class="lines-list" ref=${list}>${rows}</div>
      ${state === "loading" && html`<${Loading} rows=${6} />`}
      ${state === "failed" && timeline?.error.value && html`<${Failed} error=${timeline.error.value} retry=${() => timeline.load()} />`}
      ${state === "gone" && html`<${Empty} text=${t("chat.gone")}>${doing.chat && html`<a class="button" href=${chatPath(botId, NEW)}>${t("chat.newTitle")}</a>`}<//>`}
      ${state === "ready" && rows.length === 0 && html`<${Empty} text=${t(doing.chat ? "chat.empty" : "chat.emptyView")} />`}
    </section>
    ${timeline?.failed.value && html`<div class="more failed" role="alert">${timeline.error.value?.message} <button class="link" onClick=${() => timeline.again()}>${t("loading.retry")}</button></div>`}
    ${opened.current && (away || behind || held) && html`<button class="button newest" onClick=${toNewest} onFocus=${() => setHeld(true)} onBlur=${leftNewest}><${Icon} name="down" />${fresh > 0 ? t("chat.newestCount", { count: fresh }) : t("chat.newest")}</button>`}
  </div>`;
}
