// What every module of the page is written with: Preact's tree in tagged templates, hooks and signals.

import { h } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

/** @template T @typedef {import("./vendor/signals.js").Signal<T>} Signal */

export { Component, Fragment, createContext, render } from "./vendor/preact.js";
export {
  useCallback, useContext, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "./vendor/preact-hooks.js";
export { batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect } from "./vendor/signals.js";

/**
 * Markup as a tagged template: html`<p class=${name}>${text}</p>`. Values enter as text, never as markup.
 *
 * @type {(strings: TemplateStringsArray, ...values: any[]) => any}
 */
export const html = htm.bind(h);
