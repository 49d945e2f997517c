// Dialogs are the browser's own: it keeps the focus inside, and Esc closes them.

import { signedOut } from "../api.js";
import { html, render, useLayoutEffect, useRef, useState } from "../lib.js";
import { t } from "../strings.js";
import { showDialog } from "./focus.js";

// Not `useId`: what `confirm` draws is a tree of its own, whose ids begin anew.
let count = 0;

/**
 * Keep a dialog open. It makes the rest of the page inert, the login too: while that is shown, it waits.
 *
 * @param {{current: HTMLDialogElement | null}} element @param {() => void} onClose
 * @returns {() => void} for its own `onClose`
 */
export function useModal(element, onClose) {
  const waits = signedOut.value;
  // At once, so that what is typed next goes there.
  useLayoutEffect(() => {
    const shown = /** @type {HTMLDialogElement} */ (element.current);
    if (waits) shown.close();
    else showDialog(shown);
  }, [waits]);
  return () => {
    if (!signedOut.value) onClose();
  };
}

/**
 * A dialog that is open while it is rendered.
 *
 * @param {{title: string, onClose: () => void, children: any, className?: string}} props `onClose` also for Esc
 */
export function Dialog({ title, onClose, children, className = "" }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const [id] = useState(() => `dialog-${(count += 1)}`);
  const closed = useModal(element, onClose);
  return html`
    <dialog ref=${element} class=${`dialog ${className}`} aria-labelledby=${id} tabindex="-1" onClose=${closed}>
      <h2 id=${id}>${title}</h2>
      ${children}
    </dialog>`;
}

/**
 * Ask before something that can't be undone; says what will happen and what is kept.
 *
 * @param {{title: string, text: string, action: string}} question `action` is the word on the button
 * @returns {Promise<boolean>}
 */
export function confirm({ title, text, action }) {
  const host = document.createElement("div");
  document.body.append(host);
  return new Promise((resolve) => {
    const answer = (/** @type {boolean} */ yes) => {
      render(null, host);
      host.remove();
      resolve(yes);
    };
    render(
      html`<${Dialog} title=${title} onClose=${() => answer(false)}>
        <p>${text}</p>
        <div class="actions">
          <button type="button" class="button" onClick=${() => answer(false)}>${t("dialog.cancel")}</button>
          <button type="button" class="button danger" onClick=${() => answer(true)}>${action}</button>
        </div>
      <//>`,
      host,
    );
  });
}
