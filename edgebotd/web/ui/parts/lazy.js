// Pages that are fetched when they are first asked for.

import { html, useEffect, useState } from "../lib.js";
import { t } from "../strings.js";
import { Loading } from "./loaded.js";

/**
 * @template {Record<string, any>} Props
 * @param {() => Promise<(props: Props) => any>} load
 * @returns {(props: Props) => any}
 */
export function lazy(load) {
  /** @type {((props: Props) => any) | null} */
  let component = null;
  return function Lazy(props) {
    const [failed, fail] = useState(false);
    const [, loaded] = useState(component !== null);
    useEffect(() => {
      if (component !== null) return;
      load().then(
        (found) => {
          component = found;
          loaded(true);
        },
        () => fail(true),
      );
    }, []);
    if (component !== null) return html`<${component} ...${props} />`;
    if (!failed) return html`<${Loading} />`;
    // Most often the daemon is another version by now, which has other files.
    return html`<div class="empty" role="alert"><p>${t("lazy.failed")}</p>
      <button class="button" onClick=${() => location.reload()}>${t("lazy.reload")}</button></div>`;
  };
}
