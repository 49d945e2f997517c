// Says that a list is of one person only, and leads back to all.

import { html } from "../../lib.js";
import { Icon } from "../../parts/icon.js";
import { route } from "../../router.js";
import { t } from "../../strings.js";

/** @param {{user: string | null}} props */
export function Only({ user }) {
  if (user === null) return null;
  return html`<p class="admin-only">${t("admin.only", { user })} <a href=${route.value}><${Icon} name="close" />${t("admin.onlyAll")}</a></p>`;
}
