// What one person may do with each bot: a matrix of nothing, view, chat, operate.

import { call, path } from "../../api.js";
import { botList } from "../../house.js";
import { html, useEffect, useRef, useState } from "../../lib.js";
import { Empty } from "../../parts/loaded.js";
import { sayError } from "../../parts/toast.js";
import { t } from "../../strings.js";
import { fits } from "../order.js";
import { Filter, MANY } from "./filter.js";

const CHOICES = /** @type {const} */ (["none", "view", "chat", "operate"]);
/** @typedef {(typeof CHOICES)[number]} Choice */

// The arrows choose what they pass, and from "none" they pass "operate": what one rests at is meant.
const REST_MS = 500;

/**
 * @param {{user: import("./people.js").UserInfo, bot: {id: string, name: string}, grant: Choice, reload: () => void}} props
 */
function Row({ user, bot, grant, reload }) {
  const [said, setSaid] = useState("");
  const [wanted, want] = useState(/** @type {Choice | null} */ (null));
  const pending = useRef({ choice: /** @type {Choice | null} */ (null), busy: false, arrow: false, timer: 0 }).current;

  // What was chosen stays chosen until what is stored has been read again: the segment does not jump back in between.
  useEffect(() => {
    if (pending.choice === null && !pending.busy) want(null);
  }, [user]);

  /** Store what was chosen last. One request after another: of two at once the first may arrive as the second. */
  async function save() {
    clearTimeout(pending.timer);
    if (pending.busy || pending.choice === null) return;
    const where = path`/api/users/${user.id}/grants/${bot.id}`;
    pending.busy = true;
    while (pending.choice !== null) {
      const choice = pending.choice;
      pending.choice = null;
      try {
        if (choice === "none") await call("DELETE", where);
        else await call("PUT", where, { grant: choice });
        setSaid(t("admin.saved"));
      } catch (error) {
        want(pending.choice);
        setSaid("");
        sayError(error);
      }
    }
    pending.busy = false;
    reload();
  }
  const leave = useRef(save);
  leave.current = save;
  useEffect(() => () => void leave.current(), []);

  /** @param {Choice} choice */
  function choose(choice) {
    want(choice);
    pending.choice = choice;
    clearTimeout(pending.timer);
    if (pending.arrow) pending.timer = window.setTimeout(save, REST_MS);
    else save();
  }

  /** @param {FocusEvent} event */
  function left({ currentTarget, relatedTarget }) {
    if (!(/** @type {HTMLElement} */ (currentTarget).contains(/** @type {Node | null} */ (relatedTarget)))) save();
  }

  const shown = wanted ?? grant;
  return html`<div class="admin-grant" role="radiogroup" aria-label=${bot.name} data-row onFocusOut=${left}
    onKeyDown=${(/** @type {KeyboardEvent} */ event) => (pending.arrow = event.key.startsWith("Arrow"))} onPointerDown=${() => (pending.arrow = false)}>
    <span class="admin-grant-bot">${bot.name} ${bot.name !== bot.id && html`<span class="muted">${bot.id}</span>`}</span>
    <span class="admin-segments">${CHOICES.map((choice) => html`<label key=${choice}>
      <input type="radio" name=${`grant-${bot.id}`} checked=${shown === choice} onChange=${() => choose(choice)} />
      <span>${t(`admin.grant.${choice}`)}</span></label>`)}</span>
    <span role="status" class="muted">${said}</span>
  </div>`;
}

/** @param {{user: import("./people.js").UserInfo, reload: () => void}} props */
export function Grants({ user, reload }) {
  const [text, setText] = useState("");
  if (user.admin) return html`<section><h2>${t("admin.grants")}</h2><p>${t("admin.grants.admin")}</p></section>`;
  // A grant may outlive our knowledge of its bot: it is shown, so that it can be taken.
  const known = botList.value.map((bot) => ({ id: bot.botId, name: bot.name }));
  const others = Object.keys(user.grants).filter((id) => !known.some((bot) => bot.id === id)).map((id) => ({ id, name: id }));
  const rows = [...known, ...others].toSorted((one, other) => one.name.localeCompare(other.name));
  const shown = rows.filter((bot) => fits(`${bot.name} ${bot.id}`, text));
  return html`<section><h2>${t("admin.grants")}</h2><p class="muted">${t("admin.grants.text")}</p>
    ${(rows.length > MANY || text) && html`<${Filter} text=${text} setText=${setText} />`}
    ${shown.map((bot) => html`<${Row} key=${bot.id} user=${user} bot=${bot} reload=${reload}
      grant=${/** @type {Choice} */ (user.grants[bot.id] ?? "none")} />`)}
    ${!shown.length && html`<${Empty} text=${t(rows.length ? "admin.noMatch" : "admin.grants.noBots")} />`}</section>`;
}
