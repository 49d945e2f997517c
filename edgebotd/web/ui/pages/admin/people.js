// Users as the API tells of them.

import { call } from "../../api.js";
import { t } from "../../strings.js";

/**
 * @typedef {{id: string, name: string, admin: boolean, disabled: boolean, hasPassword: boolean, grants: Record<string, string>,
 *   sessions: number, tokens: number, createdAt: number, lastSeenAt: number | null}} UserInfo `GET /api/users`
 */

/** What the daemon takes at least; it has the last word. */
export const MIN_PASSWORD = 10;

/** @param {AbortSignal} abort @returns {Promise<UserInfo[]>} */
export const loadUsers = async (abort) => (await call("GET", "/api/users", undefined, { signal: abort })).items;

/** What keeps a user out, in words. @param {UserInfo} user */
export function standing(user) {
  if (user.disabled) return t("admin.users.disabled");
  return user.hasPassword || user.sessions ? "" : t("admin.users.neverIn");
}
