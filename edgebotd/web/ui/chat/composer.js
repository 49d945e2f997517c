// Where one writes.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib.js";
import { Icon } from "../parts/icon.js";
import { say, sayError } from "../parts/toast.js";
import { t } from "../strings.js";
import { Chosen, MOST_FILES, refusal, refusalOfAll } from "./attachments.js";
import { draftFilesOf, draftOf, isDraft, keepDraft, keepDraftFiles } from "./drafts.js";
import { post } from "./outbox.js";

const LINES = 8;
const MOST_CHARACTERS = 500_000; // the daemon takes no more

/** Whether Enter is the newline key, as on a phone's keyboard. */
const touch = matchMedia("(pointer: coarse)");

/** Whether the composer that is just being replaced had the focus, as when its conversation has come to be. */
let replaced = false;

/**
 * @typedef {{text: string, turn: number, files?: File[]}} Prefill what edit puts into the composer; `turn` makes each one new
 * @param {{botId: string, name: string, conversationId: string, target: {conversationId: string | null, group: string | null},
 *   rules: import("./types.js").Rules | null | undefined, prefill: Prefill | null, going: boolean, stopping: boolean, onStop: () => void, onLeave: () => void,
 *   onEditLast: () => void, onSent: () => void}} props `rules` undefined: not known yet
 */
export function Composer({ botId, name, conversationId, target, rules, prefill, going, stopping, onStop, onLeave, onEditLast, onSent }) {
  const [text, setText] = useState(() => draftOf(botId, conversationId));
  const [files, setFiles] = useState(() => draftFilesOf(botId, conversationId));
  const [over, setOver] = useState(false);
  const now = useRef({ text, files });
  now.current = { text, files };
  const field = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const picker = useRef(/** @type {HTMLInputElement | null} */ (null));

  // Before the next key is pressed, as another one may have been written in until now.
  useLayoutEffect(() => {
    if (!touch.matches || replaced) field.current?.focus({ preventScroll: true });
    return () => {
      replaced = document.activeElement === field.current;
      queueMicrotask(() => (replaced = false));
    };
  }, []);

  useEffect(() => {
    if (prefill === null) return;
    const typed = text.trim() !== "" && text !== prefill.text;
    change(prefill.text);
    changeFiles(prefill.files ?? []);
    if (typed || files.length > 0) say(t("chat.draftReplaced"), { undo: () => (change(text), changeFiles(files)) });
    field.current?.focus();
  }, [prefill?.turn]);

  useLayoutEffect(() => {
    const area = field.current;
    if (area === null) return;
    area.style.height = "auto";
    const { lineHeight, paddingTop, paddingBottom } = getComputedStyle(area);
    const edges = parseFloat(paddingTop) + parseFloat(paddingBottom);
    area.style.height = `${Math.min(area.scrollHeight, LINES * parseFloat(lineHeight) + edges)}px`;
  }, [text]);

  // What another tab typed into the same conversation, or sent. Nobody types here meanwhile: there is one keyboard.
  useEffect(() => {
    const heard = (/** @type {StorageEvent} */ event) => {
      if (isDraft(event.key, botId, conversationId)) setText(draftOf(botId, conversationId));
    };
    addEventListener("storage", heard);
    return () => removeEventListener("storage", heard);
  }, []);

  // A file is taken wherever it is dropped: elsewhere than here the browser would leave the page for it.
  const take = useRef(choose);
  take.current = choose;
  useEffect(() => {
    const drag = (/** @type {DragEvent} */ event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      setOver(event.type === "dragover" || (event.type === "dragleave" && event.relatedTarget !== null));
      if (event.type === "drop") take.current(event.dataTransfer.files);
    };
    const kinds = /** @type {const} */ (["dragover", "dragleave", "drop"]);
    for (const kind of kinds) addEventListener(kind, drag);
    return () => kinds.forEach((kind) => removeEventListener(kind, drag));
  }, []);

  /** @param {string} next */
  function change(next) {
    now.current.text = next;
    setText(next);
    keepDraft(botId, conversationId, next);
  }

  /** @param {File[]} next */
  function changeFiles(next) {
    now.current.files = next;
    setFiles(next);
    keepDraftFiles(botId, conversationId, next);
  }

  /** Say of files why they can't be sent, and return the others. @param {Iterable<File>} all @returns {File[]} */
  function fit(all) {
    /** @type {File[]} */
    const taken = [];
    for (const file of all) {
      const why = rules === undefined ? null : (refusal(file, rules) ?? refusalOfAll([...taken, file], rules));
      if (why) say(why, { bad: true });
      else taken.push(file);
    }
    if (taken.length > MOST_FILES) say(t("chat.files.tooMany", { count: MOST_FILES }), { bad: true });
    return taken.slice(0, MOST_FILES);
  }

  /** @param {Iterable<File>} more */
  function choose(more) {
    // What has come since this was drawn is one of them.
    changeFiles(fit([...now.current.files, ...more]));
  }

  // Also of what was chosen before it was known what the bot takes.
  useEffect(() => {
    if (now.current.files.length > 0) changeFiles(fit(now.current.files));
  }, [rules]);

  async function send() {
    if (!text.trim() && files.length === 0) return;
    if (text.length > MOST_CHARACTERS) {
      say(t("chat.tooLong", { count: text.length, most: MOST_CHARACTERS }), { bad: true });
      return;
    }
    // At once, as one types on while files are being kept; the draft stays stored until the message is.
    now.current = { text: "", files: [] };
    setText("");
    setFiles([]);
    field.current?.focus();
    try {
      await post({ botId, ...target, text, files });
      keepDraft(botId, conversationId, now.current.text);
      keepDraftFiles(botId, conversationId, now.current.files);
      onSent();
    } catch (error) {
      change([text, now.current.text].filter(Boolean).join("\n"));
      changeFiles([...files, ...now.current.files]);
      // The browser keeps nothing more, or no files: then nothing is lost, because it still stands in the composer.
      if (error instanceof DOMException || (error instanceof Error && error.message === "full")) say(t("chat.outbox.full"), { bad: true });
      else sayError(error);
    }
  }

  function stop() {
    onStop();
    // The button is about to go, and the focus would go with it.
    if (!touch.matches) field.current?.focus();
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey && (event.ctrlKey || event.metaKey || !touch.matches)) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (going) onStop();
      else onLeave();
    } else if (event.key === "ArrowUp" && !event.altKey && text === "" && files.length === 0) {
      event.preventDefault();
      onEditLast();
    }
  }

  /** @param {ClipboardEvent} event */
  function paste(event) {
    const pasted = event.clipboardData?.files ?? [];
    if (pasted.length === 0) return;
    event.preventDefault();
    choose(pasted);
  }

  return html`<form class=${`composer${over ? " over" : ""}`} aria-label=${t("chat.compose", { name })}
    onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), send())}>
    ${files.length > 0 && html`<ul class="chosen-files" aria-label=${t("chat.files")}>${files.map(
      (file, index) => html`<${Chosen} key=${`${file.name}${file.size}${index}`} file=${file} onRemove=${() => changeFiles(files.filter((one) => one !== file))} />`,
    )}</ul>`}
    <div class="composer-line">
      ${rules && html`<input ref=${picker} type="file" multiple hidden aria-hidden="true" tabindex="-1" onChange=${(/** @type {Event} */ event) => {
        const input = /** @type {HTMLInputElement} */ (event.currentTarget);
        choose([...(input.files ?? [])]);
        input.value = "";
      }} />
        <button type="button" class="icon-button" title=${t("chat.files.add")} onClick=${() => picker.current?.click()}><${Icon} name="attach" label=${t("chat.files.add")} /></button>`}
      <textarea ref=${field} data-write rows="1" dir="auto" value=${text} placeholder=${t("chat.compose", { name })} aria-label=${t("chat.compose", { name })}
        enterkeyhint=${touch.matches ? "enter" : "send"} onInput=${(/** @type {Event} */ event) => change(/** @type {HTMLTextAreaElement} */ (event.currentTarget).value)}
        onKeyDown=${key} onPaste=${paste}></textarea>
      ${going && html`<button type="button" class="button" disabled=${stopping} onClick=${stop}><${Icon} name="stop" filled />${stopping ? t("chat.stopping") : t("chat.stop")}</button>`}
      <button class="button primary send" disabled=${!text.trim() && files.length === 0} title=${t(touch.matches ? "chat.send" : "chat.sendKey")}>
        <${Icon} name="send" label=${t("chat.send")} /></button>
    </div>
  </form>`;
}
