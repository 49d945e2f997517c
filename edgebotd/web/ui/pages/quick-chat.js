// A message to a bot from where one is; the answer is written into the same row.

import { call, path, Problem } from "../api.js";
import { html, useId, useRef, useState } from "../lib.js";
import { Icon } from "../parts/icon.js";
import { likely } from "../parts/lazy.js";
import { say, sayError } from "../parts/toast.js";
import { useSocketEvent } from "../socket.js";
import { t } from "../strings.js";
import { preview, talk } from "../talk.js";

const outbox = likely(() => import("../chat/outbox.js"));

/** @typedef {{key: string, conversationId: string | null}} Attempt what stays the same however often a message is sent */

/**
 * Leave a message to the chat's outbox; it may have arrived already.
 *
 * @param {string} botId @param {string} text @param {Attempt} attempt
 * @returns {Promise<boolean>} whether it is kept
 */
async function later(botId, text, { key, conversationId }) {
  try {
    const { post } = await outbox();
    await post({ botId, conversationId, group: conversationId === null ? key : null, text, files: [], id: key });
    return true;
  } catch {
    return false; // the module is not here and can't be had, or the browser keeps nothing
  }
}

/** Esc leads back to the row, whose keys are letters again. @param {KeyboardEvent} event */
function leave(event) {
  if (event.key !== "Escape" || event.isComposing) return;
  /** @type {HTMLElement | null | undefined} */ (/** @type {HTMLElement} */ (event.target).closest("[role=row]")?.querySelector("[data-row]"))?.focus();
}

/** @param {{bot: import("../house.js").Bot}} props */
export function QuickChat({ bot }) {
  const id = useId();
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const attempt = useRef(/** @type {Attempt | null} */ (null));
  const run = useRef(/** @type {string | null} */ (null));
  const [reply, setReply] = useState("");
  // Read out is the reply to what was sent here, once, and not what other bots say meanwhile.
  useSocketEvent("chat-message", ({ message }) => {
    if (message.runId === run.current && message.role === "assistant") setReply(preview(message.parts));
  });

  /** @param {SubmitEvent} event */
  async function send(event) {
    event.preventDefault();
    const wanted = text.trim();
    if (!wanted || busy) return;
    // The same words after a failure are the same message: the key keeps it from being sent twice. Over plain HTTP from
    // another machine there is no randomUUID.
    attempt.current ??= {
      key: Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join(""),
      conversationId: talk.value.get(bot.botId)?.last?.conversationId ?? null,
    };
    const { key, conversationId } = attempt.current;
    setBusy(true);
    try {
      const answer = await call("POST", path`/api/bots/${bot.botId}/chat/send`, {
        text: wanted, conversationId, idempotencyKey: key,
      });
      attempt.current = null;
      run.current = answer.runId;
      setText("");
      if (answer.state === "queued" && answer.detail) say(answer.detail);
    } catch (error) {
      if (!(error instanceof Problem) || !error.passing || !(await later(bot.botId, wanted, { key, conversationId }))) return sayError(error);
      attempt.current = null;
      setText("");
      say(t("dash.quick.later"));
    } finally {
      setBusy(false);
    }
  }

  return html`<form class="quick" onSubmit=${send}>
    <label class="visually-hidden" for=${id}>${t("dash.quick.label", { name: bot.name })}</label>
    <input id=${id} class="bare" data-write dir="auto" autocomplete="off" enterkeyhint="send" placeholder=${t("dash.quick.short")} value=${text}
      onInput=${(/** @type {any} */ event) => ((attempt.current = null), setText(event.target.value))} onKeyDown=${leave} />
    <button class="icon-button" disabled=${!text.trim() || busy}><${Icon} name="send" label=${t("dash.quick.send")} /></button>
    <span class="visually-hidden" role="status">${reply && t("dash.quick.reply", { name: bot.name, text: reply })}</span>
  </form>`;
}
