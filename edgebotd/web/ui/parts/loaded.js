// What comes from the API into a page, with its three other states: not yet, empty, failed.

import { Problem } from "../api.js";
import { whenBack } from "../back.js";
import { html, useCallback, useEffect, useState } from "../lib.js";
import { t } from "../strings.js";
import { Icon } from "./icon.js";

const SHAPE_AFTER_MS = 200;

/**
 * Load something when a component appears and whenever `keys` change.
 *
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {unknown[]} keys
 * @returns {{value: T | null, error: Problem | null, reload: () => void}} the last good value stays while it is loaded again
 */
export function useLoaded(load, keys) {
  const [state, setState] = useState(/** @type {{value: T | null, error: Problem | null}} */ ({ value: null, error: null }));
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    load(abort.signal).then(
      (value) => setState({ value, error: null }),
      (error) => {
        if (abort.signal.aborted) return;
        if (!(error instanceof Problem)) throw error;
        setState((before) => ({ ...before, error }));
      },
    );
    return () => abort.abort();
  }, [...keys, turn]);
  const reload = useCallback(() => setTurn((count) => count + 1), []);
  // Or somebody has logged in again.
  useEffect(() => (state.error?.passing || state.error?.status === 401 ? whenBack(reload) : undefined), [state.error]);
  return { ...state, reload };
}

/** The page's own shape, after a moment. */
export function Loading({ rows = 3 }) {
  const [shown, show] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => show(true), SHAPE_AFTER_MS);
    return () => clearTimeout(timer);
  }, []);
  return html`<div class="loading" role="status" aria-busy="true" aria-label=${t("loading")}>
    ${shown && Array.from({ length: rows }, (_, index) => html`<div class="shape" key=${index}></div>`)}</div>`;
}

/** @param {{error: Problem, retry?: () => void}} props */
export function Failed({ error, retry }) {
  return html`<div class="empty" role="alert"><${Icon} name="warning" />
    <p>${error.message}</p>
    ${retry && html`<button class="button" onClick=${retry}>${t("loading.retry")}</button>`}</div>`;
}

/** Teaches the next step. @param {{text: string, children?: any}} props */
export function Empty({ text, children }) {
  return html`<div class="empty"><p>${text}</p>${children}</div>`;
}
