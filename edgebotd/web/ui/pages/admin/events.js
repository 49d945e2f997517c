// The channel as it comes: a tail of every event that reaches this page, with filters, a pause, and how many there are.

import { Component, html, useEffect, useMemo, useRef, useState } from "../../lib.js";
import { copy } from "../../parts/copy.js";
import { Icon } from "../../parts/icon.js";
import { Empty } from "../../parts/loaded.js";
import { say } from "../../parts/toast.js";
import { useSocketEvent } from "../../socket.js";
import { language, t } from "../../strings.js";
import { FilterField } from "./filter.js";
import { Head } from "./live.js";
import { Rate } from "./rate.js";
import { passes, Tail } from "./tail.js";

/** @typedef {import("./tail.js").Entry} Entry */

/** @param {string} text */
async function take(text) {
  const done = await copy(text);
  say(t(done ? "admin.copied" : "admin.events.notCopied"), { bad: !done });
}

/** @param {number} at */
function stamp(at) {
  return new Intl.DateTimeFormat(language.value, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 }).format(at);
}

/**
 * One event. It never changes, so a thousand of them cost nothing while others come.
 *
 * @extends {Component<{entry: Entry, onOpen: () => void}, {open: boolean}>}
 */
class Row extends Component {
  /** @override */
  state = { open: false };

  /** @param {unknown} _props @param {{open: boolean}} state @override */
  shouldComponentUpdate(_props, state) {
    return state.open !== this.state.open;
  }

  /** @param {Event} event */
  #toggled = (event) => {
    const { open } = /** @type {HTMLDetailsElement} */ (event.target);
    this.setState({ open });
    if (open) this.props.onOpen();
  };

  /** @override */
  render() {
    const { entry } = this.props;
    const whole = this.state.open && JSON.stringify(entry.event, null, 2);
    return html`<li class="admin-event"><details onToggle=${this.#toggled}>
      <summary data-row><time>${stamp(entry.at)}</time> <b>${entry.type}</b> <span class="admin-event-bot">${entry.botId}</span> <code>${entry.line}</code></summary>
      ${whole && html`<div class="admin-event-whole"><button class="button admin-act" onClick=${() => take(whole)}><${Icon} name="copy" />${t("admin.copy")}</button>
        <pre class="admin-json" tabindex="0">${whole}</pre></div>`}
    </details></li>`;
  }
}

/** A tail, and a number that moves with the screen's frames while events come. */
function useTail() {
  const tail = useMemo(() => new Tail(), []);
  const [, setSeen] = useState(0);
  const frame = useRef(0);
  const show = () => {
    frame.current = 0;
    setSeen(tail.total);
  };
  useSocketEvent("*", (event) => {
    tail.add(event, Date.now());
    frame.current ||= requestAnimationFrame(show);
  });
  useEffect(() => () => cancelAnimationFrame(frame.current), []);
  return tail;
}

export function Events() {
  const tail = useTail();
  const [filter, setFilter] = useState({ type: "", bot: "", text: "" });
  const [held, setHeld] = useState(/** @type {{entries: Entry[], total: number} | null} */ (null));
  const known = useRef({ types: /** @type {Set<string>} */ (new Set()), bots: /** @type {Set<string>} */ (new Set()) }).current;

  const entries = held?.entries ?? tail.newest();
  for (const { type, botId } of entries) {
    known.types.add(type);
    if (botId) known.bots.add(botId);
  }
  const shown = entries.filter((entry) => passes(entry, filter));
  const waiting = held === null ? 0 : tail.total - held.total;

  const newest = useRef(tail);
  newest.current = tail;
  const hold = useRef(() => setHeld((before) => before ?? { entries: newest.current.newest(), total: newest.current.total })).current;

  /** @param {"type" | "bot"} name @param {string} label @param {Set<string>} options */
  const choice = (name, label, options) => html`<label class="field"><span>${label}</span>
    <select class="input" onChange=${(/** @type {any} */ event) => setFilter({ ...filter, [name]: event.target.value })}>
      <option value="">${t("admin.all")}</option>
      ${[...options].sort().map((option) => html`<option key=${option} value=${option} selected=${filter[name] === option}>${option}</option>`)}</select></label>`;

  return html`<${Head} title=${t("admin.events")} text=${t("admin.events.text")} />
    <${Rate} tail=${tail} />
    <div class="admin-filters" role="search">
      ${choice("type", t("admin.events.type"), known.types)}
      ${choice("bot", t("admin.bot"), known.bots)}
      <${FilterField} label=${t("admin.events.contains")} text=${filter.text} setText=${(/** @type {string} */ text) => setFilter({ ...filter, text })} />
    </div>
    <div class="admin-line">
      <button class="button" onClick=${() => (held ? setHeld(null) : hold())}>
        <${Icon} name=${held ? "play" : "pause"} />${t(held ? "admin.events.resume" : "admin.events.pause")}</button>
      <button class="button" disabled=${!shown.length} onClick=${() => take(shown.map(({ event }) => JSON.stringify(event)).join("\n"))}>
        <${Icon} name="copy" />${t("admin.events.copyAll")}</button>
      <button class="button" onClick=${() => (tail.clear(), setHeld(null))}>${t("admin.events.clear")}</button>
      <span class="muted">${t("admin.events.count", { shown: shown.length, count: entries.length })}</span>
      <span class="muted" role="status">${held && t("admin.events.held")} ${waiting > 0 && t("admin.events.waiting", { count: waiting })}</span>
    </div>
    ${shown.length
      ? html`<ol class="admin-events" aria-label=${t("admin.events")}>${shown.map((entry) => html`<${Row} key=${entry.id} entry=${entry} onOpen=${hold} />`)}</ol>`
      : html`<${Empty} text=${t(entries.length ? "admin.events.noMatch" : "admin.events.none")} />`}`;
}
