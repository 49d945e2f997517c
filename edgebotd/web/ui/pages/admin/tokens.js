// API tokens: what there is, making one, revoking. A secret is shown once, because the daemon does not know it afterwards.

import { call, path } from "../../api.js";
import { me } from "../../house.js";
import { html, useState } from "../../lib.js";
import { confirm } from "../../parts/dialog.js";
import { Icon } from "../../parts/icon.js";
import { say, sayError } from "../../parts/toast.js";
import { placeOf } from "../../profiles.js";
import { search } from "../../router.js";
import { t } from "../../strings.js";
import { age, full, now } from "../../time.js";
import { CopyField } from "./copy.js";
import { Head, Shown, useFresh } from "./live.js";
import { NewToken } from "./new-token.js";
import { Only } from "./only.js";
import { Table } from "./table.js";

/**
 * @typedef {{id: string, userId: string, name: string, scopes: string[], bots: string[] | null, profileId: string | null, createdAt: number,
 *   expiresAt: number | null, usedAt: number | null}} TokenInfo `GET /api/tokens`
 */

/** @param {TokenInfo} token @param {() => void} reload */
async function revoke(token, reload) {
  const { name } = token;
  if (!(await confirm({ title: t("admin.tokens.revokeTitle", { name }), text: t("admin.tokens.revokeText"), action: t("admin.tokens.revoke") }))) return;
  try {
    await call("DELETE", path`/api/tokens/${token.id}`);
    say(t("admin.tokens.revoked", { name }));
  } catch (error) {
    sayError(error);
  }
  reload();
}

/** @param {TokenInfo} token */
function expiry(token) {
  if (token.expiresAt === null) return t("admin.never");
  return token.expiresAt <= now.value ? t("admin.tokens.expired") : full(token.expiresAt);
}

/** @param {boolean} all @param {() => void} reload */
const columns = (all, reload) => /** @type {import("./table.js").Column<TokenInfo>[]} */ ([
  { key: "name", label: t("admin.tokens.name"), as: "main", sort: (token) => token.name, cell: (token) => token.name },
  ...(all ? [{ key: "user", label: t("admin.users.user"), as: /** @type {const} */ ("wide"), sort: (/** @type {TokenInfo} */ token) => token.userId,
    cell: (/** @type {TokenInfo} */ token) => html`<a href=${`/admin/users/${token.userId}`}>${token.userId}</a>` }] : []),
  { key: "scopes", label: t("admin.tokens.scopes"), as: "wide", cell: (token) => token.profileId ? html`${t("admin.tokens.profile")} <a href=${placeOf(token.profileId)}>${token.profileId}</a>` : token.scopes.join(", ") },
  { key: "bots", label: t("admin.tokens.bots"), as: "wide", cell: (token) => token.profileId ? "" : (token.bots?.join(", ") ?? t("admin.all")) },
  { key: "used", label: t("admin.tokens.used"), as: "number", sort: (token) => token.usedAt,
    cell: (token) => token.usedAt === null ? t("admin.never") : html`<span title=${full(token.usedAt)}>${age(token.usedAt)}</span>` },
  { key: "expires", label: t("admin.expires"), as: "number", sort: (token) => token.expiresAt, cell: expiry },
  { key: "created", label: t("admin.created"), as: "number", sort: (token) => token.createdAt,
    cell: (token) => html`<span title=${full(token.createdAt)}>${age(token.createdAt)}</span>` },
  { key: "revoke", label: t("admin.actions"), as: "actions",
    cell: (token) => html`<button class="button admin-act" aria-label=${t("admin.tokens.revokeLabel", { name: token.name })} onClick=${() => revoke(token, reload)}>${t("admin.tokens.revoke")}</button>` },
]);

/** The tokens, and what makes one. @param {{all: boolean, user?: string | null, head: (action: any) => any}} props `user`: only this one's */
export function TokenList({ all, user = null, head }) {
  const tokens = useFresh(async (abort) => (await call("GET", "/api/tokens", undefined, { signal: abort })).items, []);
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState(/** @type {{name: string, token: string} | null} */ (null));
  const add = html`<button class=${all ? "button primary" : "button"} onClick=${() => setAdding(true)}><${Icon} name="add" />${t("admin.tokens.add")}</button>`;
  return html`${head(add)}
    ${made && html`<section class="admin-once" aria-label=${t("admin.tokens.secret")}>
      <p>${t("admin.tokens.once", { name: made.name })}</p>
      <${CopyField} label=${t("admin.tokens.secret")} text=${made.token} taken />
      <div><button class="button" onClick=${() => setMade(null)}>${t("admin.done")}</button></div>
    </section>`}
    <${Shown} from=${tokens}>${(/** @type {TokenInfo[]} */ items) => html`
      <${Table} label=${t("admin.tokens")} columns=${columns(all, tokens.reload)} id=${(/** @type {TokenInfo} */ token) => token.id}
        rows=${items.filter((token) => user === null || token.userId === user)} empty=${t("admin.tokens.none")}
        words=${(/** @type {TokenInfo} */ token) => `${token.name} ${token.userId} ${token.scopes.join(" ")} ${token.bots?.join(" ") ?? ""} ${token.profileId ?? ""}`} />`}<//>
    ${adding && html`<${NewToken} forOthers=${all} user=${user} onClose=${() => setAdding(false)}
      onMade=${(/** @type {{name: string, token: string}} */ token) => (setAdding(false), setMade(token), tokens.reload())} />`}`;
}

export function Tokens() {
  const user = search.value.get("user");
  return html`<${TokenList} all user=${user} head=${(/** @type {any} */ add) => html`
    <${Head} title=${t("admin.tokens")} text=${t("admin.tokens.text")}>${add}<//><${Only} user=${user} />`} />`;
}

/** One's own, on the account page. */
export function OwnTokens() {
  return html`<section><${TokenList} all=${false} user=${me.value?.userId} head=${(/** @type {any} */ add) => html`
    <div class="admin-section-head"><h2>${t("admin.tokens")}</h2>${add}</div><p class="muted">${t("admin.tokens.text")}</p>`} /></section>`;
}
