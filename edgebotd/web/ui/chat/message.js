// One message: who, when, what; and what one can do with it.

import { bots } from "../house.js";
import { html } from "../lib.js";
import { copy as toClipboard } from "../parts/copy.js";
import { Icon } from "../parts/icon.js";
import { say } from "../parts/toast.js";
import { t } from "../strings.js";
import { clock, full, size } from "../time.js";
import { Attachment } from "./attachments.js";
import { Prose } from "./block.js";
import { owner } from "./owner.js";
import { ToolCard } from "./tools.js";

/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./runs.js").Run} Run */
/**
 * @typedef {{chat: boolean, retry: (message: Message) => void, edit: (message: Message) => void, stop: (runId: string) => void,
 *   replyTo: (runId: string) => Message | undefined}} Doing what a person may do here
 */

/** All text of a message. @param {Message} message */
export const textOf = (message) => message.parts.map((part) => (part.type === "text" ? part.text : "")).filter(Boolean).join("\n\n");

/** @param {string} text */
async function copy(text) {
  if (await toClipboard(text)) say(t("chat.copied"));
  else say(t("chat.copyFailed"), { bad: true });
}

/** @param {import("./types.js").Part[]} parts */
function written(parts) {
  const results = new Map(parts.map((part) => (part.type === "toolResult" ? [part.toolCallId, part] : ["", undefined])));
  const calls = new Set(parts.map((part) => (part.type === "toolCall" ? part.toolCallId : "")));
  let texts = 0;
  let tools = 0;
  return parts.map((part, index) => {
    if (part.type === "text") return html`<${Prose} key=${`t${texts++}`} part=${part} />`;
    if (part.type === "toolCall") return html`<${ToolCard} key=${`c${tools++}`} name=${part.name} input=${part.arguments} result=${results.get(part.toolCallId) ?? null} />`;
    if (part.type === "toolResult") {
      if (calls.has(part.toolCallId)) return null;
      return html`<${ToolCard} key=${`c${tools++}`} name=${part.name ?? ""} result=${part} />`;
    }
    if (part.type === "attachment") return html`<${Attachment} key=${index} part=${part} />`;
    return html`<p key=${index} class="said-error" dir="auto"><${Icon} name="warning" /><span>${part.message}</span></p>`;
  });
}

/** @param {Run} run */
function going(run) {
  run.version.value; // painted once a frame
  let texts = 0;
  let tools = 0;
  return run.segments.map((segment) =>
    segment.kind === "text"
      ? html`<${Prose} key=${`t${texts++}`} blocks=${segment.blocks} over=${run.over} />`
      : html`<${ToolCard} key=${`c${tools++}`} name=${segment.name} running=${segment.running} />`,
  );
}

/**
 * What is said. One component for what is written and what is being written, with texts and tools counted apart, so that
 * the nodes stay when a reply ends.
 *
 * @param {{parts?: import("./types.js").Part[], run?: Run}} props
 */
function Said({ parts, run }) {
  return html`<div class="said">${parts ? written(parts) : run ? going(run) : null}</div>`;
}

/** What a run is at. @param {{run: Run}} props */
function Pulse({ run }) {
  run.version.value;
  const word = run.over ? "" : run.state === "stopping" ? t("chat.stopping") : run.thinking ? t("chat.thinking") : run.length === 0 ? t("chat.started") : t("chat.writing");
  return html`<span class="pulse">${word}${run.detail ? ` · ${run.detail}` : ""}</span>`;
}

/** @param {{at: number}} props */
const Time = ({ at }) => html`<time datetime=${new Date(at).toISOString()} title=${full(at)}>${clock(at)}</time>`;

/** A bot's reply, written or being written. @param {{botId: string, message?: Message, run?: Run, doing: Doing, found: boolean}} props */
export function Reply({ botId, message, run, doing, found }) {
  const name = bots.value.get(botId)?.name ?? botId;
  // What failed offers another try without being pointed at.
  const again = doing.chat && message && message.state !== "final" ? doing.replyTo(message.runId) : undefined;
  const at = message?.createdAt ?? run?.since ?? 0;
  return html`<article class=${`row reply${found ? " found" : ""}`} data-id=${message?.id ?? run?.runId} data-seq=${message?.seq ?? null} aria-label=${`${name}, ${clock(at)}`}>
    <header><strong>${name}</strong><${Time} at=${at} />
      ${message && message.source.startsWith("plugin") && html`<span class="muted">${message.source}</span>`}
      ${message && message.state !== "final" && html`<span class=${`turn-state ${message.state}`}>${t(`chat.state.${message.state}`)}</span>`}
      ${run && !message && html`<${Pulse} run=${run} />`}</header>
    <${Said} parts=${message?.parts} run=${run} />
    ${message && html`<footer class=${again ? "always" : ""}>
      <button class="act" onClick=${() => copy(textOf(message))}><${Icon} name="copy" />${t("chat.copy")}</button>
      ${again && html`<button class="act" onClick=${() => doing.retry(again)}><${Icon} name="retry" />${t("chat.retry")}</button>`}
    </footer>`}
  </article>`;
}

/** A person's message. @param {{message: Message, run?: Run, doing: Doing, found: boolean}} props */
export function Asked({ message, run, doing, found }) {
  const mine = message.userId === owner();
  const name = mine ? t("chat.you") : (message.userId ?? message.source);
  const waits = message.state === "pending" && (run === undefined || run.state === "queued");
  return html`<article class=${`row asked${found ? " found" : ""}`} data-id=${message.id} data-seq=${message.seq ?? null} aria-label=${`${name}, ${clock(message.createdAt)}`}>
    <header><strong>${name}</strong><${Time} at=${message.createdAt} />
      ${message.source !== "edgebotd" && html`<span class="muted">${message.source}</span>`}
      ${waits && html`<span class="turn-state">${run?.detail ?? t("chat.waits")}</span>`}
      ${!waits && message.state !== "pending" && message.state !== "final" && html`<span class="turn-state">${t(`chat.state.${message.state}`)}</span>`}</header>
    <${Said} parts=${message.parts} />
    <footer>
      ${waits && doing.chat && html`<button class="act" onClick=${() => doing.stop(message.runId)}><${Icon} name="close" />${t("chat.cancel")}</button>`}
      <button class="act" onClick=${() => copy(textOf(message))}><${Icon} name="copy" />${t("chat.copy")}</button>
      ${doing.chat && html`<button class="act" onClick=${() => doing.retry(message)}><${Icon} name="retry" />${t("chat.retry")}</button>
        <button class="act" onClick=${() => doing.edit(message)}><${Icon} name="edit" />${t("chat.edit")}</button>`}
    </footer>
  </article>`;
}

/**
 * A message that the daemon does not have yet.
 *
 * @param {{entry: import("./outbox.js").Entry, chat: boolean, onAgain: () => void, onEdit: () => void, onWithdraw: () => void}} props `chat`: may write
 */
export function Leaving({ entry, chat, onAgain, onEdit, onWithdraw }) {
  const known = entry.code === "too_old" || entry.code === "files_lost" ? t(`chat.outbox.${entry.code}`) : entry.refused;
  return html`<article class="row asked leaving" data-id=${entry.id} aria-label=${t("chat.you")}>
    <header><strong>${t("chat.you")}</strong><${Time} at=${entry.at} />
      ${entry.refused === null ? html`<span class="turn-state">${t("chat.outbox.waits")}</span>` : html`<span class="trouble">${t("chat.outbox.refused")}</span>`}</header>
    <div class="said plain" dir="auto">${entry.text}</div>
    ${entry.files.map((file, index) => html`<div class="file" key=${index}><${Icon} name="file" /><span class="file-name" dir="auto">${file.name}</span><span class="muted">${size(file.size)}</span></div>`)}
    ${entry.refused !== null && html`<p class="said-error" role="alert"><${Icon} name="warning" /><span>${known}</span></p>`}
    <footer class="always">
      ${entry.refused !== null && chat && html`<button class="act" onClick=${onAgain}><${Icon} name="retry" />${t("chat.outbox.again")}</button>
        <button class="act" onClick=${onEdit}><${Icon} name="edit" />${t("chat.edit")}</button>`}
      <button class="act" onClick=${onWithdraw}><${Icon} name="trash" />${t("chat.outbox.withdraw")}</button>
    </footer>
  </article>`;
}
