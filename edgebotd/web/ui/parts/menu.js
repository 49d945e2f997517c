// A few more things that one can do, behind one button.

import { html, useEffect, useRef } from "../lib.js";
import { Icon } from "./icon.js";

/** @param {{label: string, children: any}} props */
export function Menu({ label, children }) {
  const element = useRef(/** @type {HTMLDetailsElement | null} */ (null));
  useEffect(() => {
    const outside = (/** @type {Event} */ event) => {
      const menu = element.current;
      if (menu?.open && !menu.contains(/** @type {Node} */ (event.target))) menu.open = false;
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("focusin", outside);
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("focusin", outside);
    };
  }, []);
  const close = () => {
    if (element.current === null) return;
    if (element.current.contains(document.activeElement)) element.current.querySelector("summary")?.focus();
    element.current.open = false;
  };

  /** @param {KeyboardEvent} event */
  function key(event) {
    if (event.key !== "Escape" || !element.current?.open) return;
    event.stopPropagation();
    close();
  }
  // Closed before what was chosen is done: a dialog that it opens gives the focus back to where it is then.
  return html`<details class="more-menu" ref=${element} onKeyDown=${key}>
    <summary class="icon-button" aria-label=${label} title=${label}><${Icon} name="more" /></summary>
    <div class="more-menu-items" onClickCapture=${close}>${children}</div>
  </details>`;
}
