// What the admin parts share around their tables: a head, values that are asked for again, words of the API.

import { html, useEffect } from "../../lib.js";
import { Icon } from "../../parts/icon.js";
import { Failed, Loading, useLoaded } from "../../parts/loaded.js";
import { useSocketEvent } from "../../socket.js";
import { t } from "../../strings.js";

/**
 * Load what has no event of its own: again after a gap, when the page is looked at again, and every so often while it is.
 *
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} load @param {unknown[]} keys @param {number} [seconds] 0: not by the clock
 */
export function useFresh(load, keys, seconds = 0) {
  const loaded = useLoaded(load, keys);
  const { reload } = loaded;
  useSocketEvent("gap", reload);
  useEffect(() => {
    const again = () => {
      if (!document.hidden) reload();
    };
    document.addEventListener("visibilitychange", again);
    const timer = seconds ? setInterval(again, seconds * 1000) : undefined;
    return () => {
      document.removeEventListener("visibilitychange", again);
      clearInterval(timer);
    };
  }, [reload, seconds]);
  return loaded;
}

/**
 * A loaded value, or its other states. What was loaded before stays when a later try fails, and that is said.
 *
 * @template T
 * @param {{from: {value: T | null, error: import("../../api.js").Problem | null, reload: () => void}, children: (value: T) => any}} props
 */
export function Shown({ from, children }) {
  const { value, error, reload } = from;
  if (value === null) return error ? html`<${Failed} error=${error} retry=${reload} />` : html`<${Loading} rows=${5} />`;
  return html`
    ${error && html`<p class="admin-stale" role="status">${t("admin.stale", { detail: error.message })}</p>`}
    ${children(value)}`;
}

/** A part's title, its one sentence and its one primary action. @param {{title: string, text?: string, back?: {to: string, name: string}, children?: any}} props */
export function Head({ title, text, back = { to: "/admin", name: t("admin.menu") }, children }) {
  return html`<header class="admin-head">
    <a class=${back.to === "/admin" ? "admin-back admin-phone" : "admin-back"} href=${back.to}><${Icon} name="back" />${back.name}</a>
    <h1>${title}</h1>${children}
    ${text && html`<p class="muted">${text}</p>`}
  </header>`;
}

/**
 * A word of the API in the person's language, as it came where we have none.
 *
 * @param {string} prefix @param {string} code @param {Record<string, string | number>} [values]
 */
export function word(prefix, code, values = {}) {
  const key = `${prefix}.${code}`;
  const text = t(/** @type {import("../../strings.js").Key} */ (key), values);
  return text === key ? code : text;
}
