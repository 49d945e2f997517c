// A page that fails takes nothing else along: what failed is said in its place, and the frame stays to leave it by.

import { html, useEffect, useErrorBoundary } from "../lib.js";
import { route } from "../router.js";
import { t } from "../strings.js";

/** @param {{children: any}} props */
export function Guard({ children }) {
  // Told as uncaught all the same, to the console and to whoever watches the page.
  const [error, forget] = useErrorBoundary((failure) => reportError(failure));
  const path = route.value;
  useEffect(() => {
    if (error !== undefined) forget();
  }, [path]);
  if (error === undefined) return children;
  return html`<div class="empty" role="alert"><h1 class="visually-hidden">${t("failed.title")}</h1><p>${t("failed.text")}</p><p class="small">${String(error)}</p>
    <button type="button" class="button" onClick=${() => location.reload()}>${t("lazy.reload")}</button></div>`;
}
