// One conversation: its head, its timeline, the composer.

import { call, path, query } from "../api.js";
import { bots, may } from "../house.js";
import { html, signal, useEffect, useRef, useState } from "../lib.js";
import { confirm, Dialog } from "../parts/dialog.js";
import { Icon } from "../parts/icon.js";
import { enterList } from "../parts/keys.js";
import { useLoaded } from "../parts/loaded.js";
import { sayError } from "../parts/toast.js";
import { navigate } from "../router.js";
import { useSocketEvent } from "../socket.js";
import { t } from "../strings.js";
import { Composer } from "./composer.js";
import { conversationsOf, titleOf } from "./conversations.js";
import { draftFilesOf, draftOf, keepDraft, keepDraftFiles } from "./drafts.js";
import { Lines } from "./lines.js";
import { Menu } from "../parts/menu.js";
import { textOf } from "./message.js";
import { again, begun, newKey, outbox, post, withdraw } from "./outbox.js";
import { chatPath, embedded, NEW, sought, wantedMessage } from "./paths.js";
import { owner } from "./owner.js";
import { runsIn, runsVersion, setRunState } from "./runs.js";
import { keptFiles } from "./stored.js";
import { timelineOf } from "./timeline.js";

const READ_MS = 400; // how long seen messages are collected before the daemon is told
const TOLD_CHARACTERS = 600; // of a finished reply, read out by a screen reader

/** @typedef {import("./types.js").Message} Message */

/** What a screen reader says next. */
const told = signal("");

/** @param {{botId: string, conversationId: string, onRename: () => void}} props */
function More({ botId, conversationId, onRename }) {
  async function remove() {
    const yes = await confirm({ title: t("chat.delete.title"), text: t("chat.delete.text"), action: t("chat.delete") });
    if (!yes) return;
    try {
      await call("DELETE", path`/api/bots/${botId}/conversations/${conversationId}`);
      navigate(chatPath(botId), { replace: true });
    } catch (error) {
      sayError(error);
    }
  }
  const file = path`/api/bots/${botId}/conversations/${conversationId}/export`;
  return html`<${Menu} label=${t("chat.more")}>
    ${may(botId, "chat") && html`<button onClick=${onRename}><${Icon} name="edit" />${t("chat.rename")}</button>`}
    <a href=${file + query({ format: "markdown" })} download><${Icon} name="download" />${t("chat.exportMarkdown")}</a>
    <a href=${file + query({ format: "json" })} download><${Icon} name="download" />${t("chat.exportJson")}</a>
    ${may(botId, "operate") && html`<button class="danger" onClick=${remove}><${Icon} name="trash" />${t("chat.delete")}</button>`}
  <//>`;
}

/** @param {{botId: string, conversationId: string, title: string, onClose: () => void}} props */
function Rename({ botId, conversationId, title, onClose }) {
  const [text, setText] = useState(title);

  /** @param {Event} event */
  async function save(event) {
    event.preventDefault();
    try {
      await call("PATCH", path`/api/bots/${botId}/conversations/${conversationId}`, { title: text.trim() || null });
      onClose();
    } catch (error) {
      sayError(error);
    }
  }
  return html`<${Dialog} title=${t("chat.rename")} onClose=${onClose}>
    <form onSubmit=${save} class="rename">
      <label class="field"><span>${t("chat.title")}</span><input class="input" dir="auto" maxlength="200" value=${text} autofocus
        onInput=${(/** @type {Event} */ event) => setText(/** @type {HTMLInputElement} */ (event.currentTarget).value)} /></label>
      <div class="actions"><button type="button" class="button" onClick=${onClose}>${t("dialog.cancel")}</button>
        <button class="button primary">${t("chat.save")}</button></div>
    </form><//>`;
}

/** Why a message will wait, above the composer. @param {{botId: string, name: string}} props */
function Waits({ botId, name }) {
  const bot = bots.value.get(botId);
  if (!bot || bot.state === "connected") return null;
  return html`<p class="talk-notice">${t("chat.botAway", { name })} ${bot.detail ?? ""}</p>`;
}

/** A group for messages to a conversation that does not exist yet: the one that already waits, else a new one. @param {string} botId */
function groupFor(botId) {
  const waits = outbox.value.find((entry) => entry.botId === botId && entry.conversationId === null && entry.group !== null && !(entry.group in begun.value));
  return waits?.group ?? newKey();
}

/** @param {{botId: string, conversationId: string}} props `conversationId` may be `NEW` */
export function Talk({ botId, conversationId }) {
  const fresh = conversationId === NEW;
  const bot = bots.value.get(botId);
  const name = bot?.name ?? botId;
  const chat = may(botId, "chat");
  const conversations = conversationsOf(botId);
  const row = fresh ? undefined : conversations.rows.value.get(conversationId);
  const wanted = wantedMessage();
  const timeline = fresh ? null : timelineOf(botId, conversationId);
  const detail = useLoaded((signal) => call("GET", path`/api/bots/${botId}`, undefined, { signal }), [botId, bot?.state]);
  const [group] = useState(() => (fresh ? groupFor(botId) : null));
  const [prefill, setPrefill] = useState(/** @type {import("./composer.js").Prefill | null} */ (null));
  const [sent, setSent] = useState(0);
  const [renaming, rename] = useState(false);
  const reading = useRef({ seq: 0, timer: 0 });
  const takes = useRef(/** @type {import("./types.js").Rules | null | undefined} */ (undefined));
  // The read marker as it was when one came: what is read from then on does not move the line.
  const marker = useRef(/** @type {number | null} */ (null));
  if (marker.current === null && (fresh || conversations.state.value !== "loading")) marker.current = row?.readSeq ?? 0;

  useEffect(() => {
    if (timeline === null) return;
    const held = wanted && timeline.messages.value.some((message) => message.id === wanted);
    if (wanted && !held) timeline.jump(wanted);
    else if (timeline.state.value !== "ready" || timeline.stale) timeline.reload();
  }, [timeline, wanted, sought.value]);

  const became = group === null ? undefined : begun.value[group];
  useEffect(() => {
    if (!became) return;
    // What was typed on meanwhile goes along.
    keepDraft(botId, became, draftOf(botId, NEW));
    keepDraft(botId, NEW, "");
    keepDraftFiles(botId, became, draftFilesOf(botId, NEW));
    keepDraftFiles(botId, NEW, []);
    navigate(chatPath(botId, became), { replace: true });
  }, [became]);

  useSocketEvent("gap", () => timeline?.reload());

  useSocketEvent("chat-message", ({ message }) => {
    if (message.conversationId !== conversationId || message.role !== "assistant" || message.editedAt) return;
    const text = textOf(message) || t(`chat.state.${/** @type {Message} */ (message).state}`);
    told.value = `${name}: ${text.length > TOLD_CHARACTERS ? `${text.slice(0, TOLD_CHARACTERS)}… ${t("chat.goesOn")}` : text}`;
  });

  /** @param {number} seq */
  function onSeen(seq) {
    const collected = reading.current;
    if (seq <= Math.max(collected.seq, conversationsOf(botId).rows.value.get(conversationId)?.readSeq ?? 0)) return;
    collected.seq = seq;
    if (collected.timer) return;
    collected.timer = window.setTimeout(async () => {
      collected.timer = 0;
      const upTo = collected.seq;
      // Tried again with the next message that is seen.
      await call("PUT", path`/api/bots/${botId}/conversations/${conversationId}/read`, { seq: upTo }).then(
        () => conversations.read(conversationId, upTo),
        () => (collected.seq = 0),
      );
    }, READ_MS);
  }

  runsVersion.value;
  const going = fresh ? undefined : runsIn(conversationId).find((run) => !run.over && run.state !== "queued");

  /** @param {string} runId */
  async function stop(runId) {
    setRunState(runId, "stopping");
    try {
      await call("POST", path`/api/bots/${botId}/chat/abort`, { runId });
    } catch (error) {
      setRunState(runId, "streaming");
      sayError(error);
    }
  }

  /** @param {Message} message */
  async function filesOf(message) {
    const parts = message.parts.filter((part) => part.type === "attachment");
    return await Promise.all(parts.map(async (part) => {
      const answer = await fetch(path`/api/attachments/${part.sha256}`);
      if (!answer.ok) throw new Error(t("chat.files.gone", { name: part.name }));
      return new File([await answer.blob()], part.name, { type: part.mediaType });
    }));
  }

  /** @param {Message} message */
  async function retry(message) {
    try {
      await post({ botId, conversationId, group: null, text: textOf(message), files: await filesOf(message) });
      setSent((count) => count + 1);
    } catch (error) {
      sayError(error);
    }
  }

  /** @param {Message} message */
  async function edit(message) {
    const files = await filesOf(message).catch((error) => (sayError(error), []));
    setPrefill((before) => ({ text: textOf(message), files, turn: (before?.turn ?? 0) + 1 }));
  }

  const messages = timeline?.messages.value ?? [];
  const doing = {
    chat, retry, edit, stop,
    replyTo: (/** @type {string} */ runId) => messages.find((message) => message.role === "user" && message.runId === runId),
  };
  const outboxDoing = {
    again: (/** @type {import("./outbox.js").Entry} */ entry) => void again(entry).catch(sayError),
    withdraw: (/** @type {import("./outbox.js").Entry} */ entry) => void withdraw(entry),
    edit: async (/** @type {import("./outbox.js").Entry} */ entry) => {
      const blobs = entry.files.length > 0 ? ((await keptFiles(entry.id).catch(() => undefined)) ?? []) : [];
      const files = blobs.map((blob, index) => new File([blob], entry.files[index].name, { type: entry.files[index].mediaType }));
      setPrefill((before) => ({ text: entry.text, files, turn: (before?.turn ?? 0) + 1 }));
      await withdraw(entry);
    },
  };
  const last = messages.findLast((message) => message.role === "user" && message.userId === owner());
  const title = fresh ? t("chat.newTitle") : (row ? titleOf(row) : "") || t("chat.untitled");
  // A bot that is away, whose version is not known, does not say what it takes: what it said before holds.
  if (detail.value?.version) takes.current = detail.value.attachments ?? null;

  return html`<div class="talk">
    <header class="talk-head">
      <a class="icon-button to-list" href=${chatPath(botId)} aria-label=${t("chat.toList")}><${Icon} name="back" /></a>
      ${embedded() ? html`<h2 dir="auto">${title}</h2>` : html`<h1 dir="auto">${title}</h1>`}
      ${row && row.conversation.source !== "edgebotd" && html`<span class="badge">${row.conversation.source}</span>`}
      ${!fresh && timeline?.state.value !== "gone" && html`<${More} botId=${botId} conversationId=${conversationId} onRename=${() => rename(true)} />`}
    </header>
    <${Lines} botId=${botId} conversationId=${fresh ? null : conversationId} group=${group} timeline=${timeline} doing=${doing} readSeq=${marker.current} wanted=${wanted} sent=${sent}
      onSeen=${onSeen} outboxDoing=${outboxDoing} />
    <div class="talk-foot">
      ${chat && html`<${Waits} botId=${botId} name=${name} />`}
      ${chat
        ? html`<${Composer} botId=${botId} name=${name} conversationId=${conversationId} target=${{ conversationId: fresh ? null : conversationId, group }} rules=${takes.current}
            prefill=${prefill} going=${going !== undefined} stopping=${going?.state === "stopping"} onStop=${() => going && stop(going.runId)}
            onLeave=${() => (fresh ? enterList() : navigate(chatPath(botId)))} onEditLast=${() => last && edit(last)} onSent=${() => setSent((count) => count + 1)} />`
        : html`<p class="talk-notice">${t("chat.viewOnly", { name })}</p>`}
    </div>
    <div class="visually-hidden" aria-live="polite">${told.value}</div>
    ${renaming && html`<${Rename} botId=${botId} conversationId=${conversationId} title=${row?.conversation.title ?? ""} onClose=${() => rename(false)} />`}
  </div>`;
}
