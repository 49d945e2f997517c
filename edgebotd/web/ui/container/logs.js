// What a bot's container writes: its last lines, then each as it comes, until somebody scrolls up to read.

import { call, path, Problem, query } from "../api.js";
import { whenBack } from "../back.js";
import { Component, html, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib.js";
import { Icon } from "../parts/icon.js";
import { leaveFilter } from "../parts/keys.js";
import { Failed, Loading } from "../parts/loaded.js";
import { socket, useSocketEvent } from "../socket.js";
import { t } from "../strings.js";
import { clockSeconds, full } from "../time.js";
import { chunks, LogTail, passing } from "./log-tail.js";

/** @typedef {import("./log-tail.js").Line} Line */

const FIRST_LINES = 1000;
const MOST_LINES = 5000;
/** After so long it is looked whether something was written that nobody was told. */
const SETTLED_MS = 1500;
/** So near to the end is at the end. */
const END = 24;

/** @param {{line: Line}} props */
function Row({ line }) {
  if (line.missed) return html`<p class="log-missed muted">${t("logs.missed", { count: line.missed })}</p>`;
  const bad = line.stream === "stderr";
  return html`<p class=${bad ? "log-line log-bad" : "log-line"}><time title=${full(line.at)}>${clockSeconds(line.at)}</time>
    ${bad ? html`<abbr class="log-mark" title=${t("logs.err.label")}>${t("logs.err")}</abbr>` : html`<span class="log-mark"></span>`}<span class="log-text" dir="auto">${line.text}</span></p>`;
}

/** A hundred lines or less, drawn anew only when it is other ones. */
class Chunk extends Component {
  /** @override @param {{lines: Line[]}} next */
  shouldComponentUpdate(next) {
    const { lines } = /** @type {{lines: Line[]}} */ (this.props);
    return lines.length !== next.lines.length || lines[0].id !== next.lines[0].id;
  }

  /** @override */
  render() {
    const { lines } = /** @type {{lines: Line[]}} */ (/** @type {unknown} */ (this.props));
    return html`<div class="log-chunk">${lines.map((line) => html`<${Row} key=${line.id} line=${line} />`)}</div>`;
  }
}

/**
 * The newest lines, kept true.
 *
 * @param {string} botId @param {unknown[]} keys when one of them changes, what is missing is read
 * @returns {{tail: LogTail, lines: Line[] | null, error: Problem | null, reload: () => void}} `lines` are null until they were read
 */
function useTail(botId, keys) {
  const tail = useMemo(() => new LogTail(), [botId]);
  const [lines, setLines] = useState(/** @type {Line[] | null} */ (null));
  const [error, setError] = useState(/** @type {Problem | null} */ (null));
  const read = useRef(false);
  /** Up to when nothing is missing; what comes later may have a hole before it. Null: there is none. */
  const whole = useRef(/** @type {number | null} */ (null));
  /** Whether the channel has told nothing yet since it was asked to. */
  const waits = useRef(false);
  const turn = useRef(0);
  const settling = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));

  const reload = useCallback(async () => {
    const since = read.current ? (whole.current ?? tail.newestAt) : null;
    try {
      const asked = query(since === null ? { tail: FIRST_LINES } : { tail: MOST_LINES, since });
      const { items } = await call("GET", path`/api/bots/${botId}/container/logs` + asked);
      tail.merge(items);
      if (!read.current) whole.current = items.at(-1)?.at ?? 0;
      read.current = true;
      setError(null);
      setLines(tail.lines);
      return true;
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      setError(failed);
      return false;
    }
  }, [botId, tail]);
  const fill = useCallback(async () => {
    const mine = (turn.current += 1);
    if ((await reload()) && mine === turn.current && !waits.current) whole.current = null;
  }, [reload]);
  /** What is watched begins a moment after it is asked for: what was written until then is read once it has. */
  const settle = useCallback(() => {
    clearTimeout(settling.current);
    turn.current += 1;
    waits.current = true;
    whole.current ??= tail.newestAt;
    settling.current = setTimeout(fill, SETTLED_MS);
  }, [fill]);
  // Watched before it is read, so that nothing falls in between.
  useEffect(() => {
    read.current = false;
    whole.current = null;
    setLines(null);
    return socket.watch({ logs: [botId] });
  }, [botId]);
  useEffect(() => {
    reload();
    settle();
    return () => clearTimeout(settling.current);
  }, [reload, ...keys]);
  // A new stream is watched anew.
  useSocketEvent("hello", settle);
  useEffect(() => (error?.passing || error?.status === 401 ? whenBack(reload) : undefined), [error]);
  useSocketEvent("bot-log", (event) => {
    if (event.botId !== botId) return;
    tail.add(event.lines, event.missed ?? 0);
    if (read.current) setLines(tail.lines);
    if (!waits.current) return;
    // From here on nothing is missing.
    waits.current = false;
    fill();
  });
  return { tail, lines, error, reload };
}

/** @param {{lines: Line[], name: string, cut: boolean, empty: string, start: unknown}} props `start`: when it changes, the view goes to the end */
function View({ lines, name, cut, empty, start }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const list = useRef(/** @type {HTMLDivElement | null} */ (null));
  const top = useRef(0);
  /** What is shown while somebody reads above; null: what there is. */
  const [held, hold] = useState(/** @type {Line[] | null} */ (null));
  const following = held === null;
  const shown = held ?? lines;

  const toEnd = useCallback(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
    top.current = box.current?.scrollTop ?? 0;
  }, []);
  useLayoutEffect(() => hold(null), [start]);
  useLayoutEffect(() => {
    if (following) toEnd();
  }, [shown, following]);
  // Lines get their height only when they are near to be seen.
  useEffect(() => {
    const sizes = new ResizeObserver(() => following && toEnd());
    sizes.observe(/** @type {HTMLElement} */ (list.current));
    sizes.observe(/** @type {HTMLElement} */ (box.current));
    return () => sizes.disconnect();
  }, [following]);

  function scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = /** @type {HTMLElement} */ (box.current);
    const atEnd = scrollHeight - scrollTop - clientHeight < END;
    // Only who goes up wants to read: that there is more below is no reason to stay.
    if (following && !atEnd && scrollTop < top.current - 1) hold(lines);
    else if (!following && atEnd && scrollTop > top.current) hold(null);
    top.current = scrollTop;
  }
  /** A line that comes just then must not take back what somebody scrolls. @param {WheelEvent} event */
  function wheeled({ deltaY }) {
    const { scrollHeight, clientHeight } = /** @type {HTMLElement} */ (box.current);
    if (deltaY < 0 && following && scrollHeight > clientHeight) hold(lines);
  }
  const last = held?.at(-1)?.id ?? 0;
  const news = following ? 0 : lines.filter((line) => line.id > last).length;
  return html`<div class="log-frame">
    <div ref=${box} class="log" role="region" aria-label=${t("logs.region", { name })} tabindex="0" dir="ltr" onScroll=${scrolled} onWheel=${wheeled}><div ref=${list}>
      ${cut && html`<p class="log-missed muted">${t("logs.older")}</p>`}
      ${shown.length === 0 && html`<p class="log-missed muted">${empty}</p>`}
      ${chunks(shown).map((chunk) => html`<${Chunk} key=${chunk.id} lines=${chunk.lines} />`)}</div></div>
    ${!following && html`<button type="button" class="button log-new" onClick=${() => hold(null)}><${Icon} name="down" />${news > 0 ? t("logs.new", { count: news }) : t("logs.newest")}</button>`}
  </div>`;
}

/** @param {{bot: import("../house.js").Bot, container: import("../containers.js").Container}} props */
export function Logs({ bot, container }) {
  const { botId, name } = bot;
  const { tail, lines, error, reload } = useTail(botId, [container.containerId, container.state === "unknown"]);
  const [text, setText] = useState("");
  const [stderr, setStderr] = useState(false);
  const shown = useMemo(() => passing(lines ?? [], { text, stderr }), [lines, text, stderr]);
  const narrow = text.trim() !== "" || stderr;
  const file = path`/api/bots/${botId}/container/logs/download` + query({ contains: text.trim() || null, stream: stderr ? "stderr" : null });
  return html`<section class="logs" aria-label=${t("logs.title")}>
    <header class="logs-head"><div><h2>${t("logs.title")}</h2>
        <span class="muted small" role="status">${narrow ? t("logs.count", { count: shown.length }) : ""}</span></div>
      <input class="input filter" type="search" data-filter aria-label=${t("logs.filter")} placeholder=${t("logs.filter")} value=${text}
        onInput=${(/** @type {any} */ event) => setText(event.target.value)} onKeyDown=${(/** @type {KeyboardEvent} */ event) => leaveFilter(event, () => setText(""))} />
      <select class="input" aria-label=${t("logs.stream")} value=${stderr ? "stderr" : "all"} onChange=${(/** @type {any} */ event) => setStderr(event.target.value === "stderr")}>
        <option value="all">${t("logs.stream.all")}</option><option value="stderr">${t("logs.stream.stderr")}</option></select>
      <a class="button" href=${file} download=${`${botId}.log`}><${Icon} name="download" /><span class="wide">${t("logs.download")}</span><span class="visually-hidden narrow">${t("logs.download")}</span></a></header>
    ${lines === null
      ? error ? html`<${Failed} error=${error} retry=${reload} />` : html`<${Loading} rows=${5} />`
      : html`<${View} lines=${shown} name=${name} cut=${tail.cut && !narrow} empty=${t(narrow ? "logs.noneFits" : "logs.none")} start=${`${text} ${stderr}`} />`}
  </section>`;
}
