// Parts of the page that are fetched when they are first asked for, or when the browser has nothing else to do: what the
// first view does not need must not keep it waiting.

import { whenBack } from "../back.js";
import { html, useEffect, useState } from "../lib.js";
import { socket } from "../socket.js";
import { t } from "../strings.js";
import { Loading } from "./loaded.js";

const IDLE_MS = 2000;

/** @type {(() => Promise<unknown>)[]} */
const soon = [];

/** Whether the daemon can be reached, as far as is known. */
const isThere = () => socket.state.value.phase === "live" || socket.state.value.phase === "polling";

/**
 * A component that is imported when it is first drawn.
 *
 * @template {Record<string, any>} Props
 * @param {() => Promise<(props: Props) => any>} load
 * @param {{likely?: boolean, waiting?: any}} [options] `likely`: fetched soon in any case; `waiting`: shown meanwhile
 * @returns {(props: Props) => any}
 */
export function lazy(load, { likely = false, waiting = html`<${Loading} />` } = {}) {
  /** @type {((props: Props) => any) | null} */
  let component = null;
  const fetched = async () => (component = await load());
  if (likely) soon.push(fetched);
  return function Lazy(props) {
    const [failed, fail] = useState(false);
    const [, redraw] = useState(false);
    useEffect(() => {
      // It may have come between the drawing and this.
      if (component !== null) redraw(true);
      else fetched().then(() => redraw(true), () => fail(true));
    }, []);
    useEffect(() => {
      if (!failed) return undefined;
      const again = () => void fetched().then(() => fail(false), () => {});
      const off = whenBack(again);
      // The line may be back before this is heard.
      if (isThere()) again();
      return off;
    }, [failed]);
    if (component !== null) return html`<${component} ...${props} />`;
    if (!failed) return waiting;
    if (!isThere()) return html`<div class="empty" role="status"><p>${t("lazy.offline")}</p></div>`;
    // Most often the daemon is another version by now, which has other files.
    return html`<div class="empty" role="alert"><p>${t("lazy.failed")}</p>
      <button class="button" onClick=${() => location.reload()}>${t("lazy.reload")}</button></div>`;
  };
}

/**
 * Something that is imported when it is first wanted, and fetched soon in any case: it may be wanted without the line.
 *
 * @template T
 * @param {() => Promise<T>} load
 * @returns {() => Promise<T>}
 */
export function likely(load) {
  soon.push(load);
  return load;
}

/** Fetch what is likely to be wanted, once the browser rests. */
export function fetchSoon() {
  const fetchAll = async () => {
    // Without the line it fails; it is tried when it is asked for, and with the next reason to fetch.
    for (const one of soon.splice(0)) await one().catch(() => soon.push(one));
  };
  if ("requestIdleCallback" in globalThis) requestIdleCallback(fetchAll, { timeout: IDLE_MS });
  else setTimeout(fetchAll, IDLE_MS);
}
