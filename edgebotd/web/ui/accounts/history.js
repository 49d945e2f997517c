// How the windows of an account came to what they are: one curve each, on one scale of time.

import { call, path, query } from "../api.js";
import { html, useEffect, useRef, useState } from "../lib.js";
import { colourOf, drawing } from "../parts/drawing.js";
import { Shown, useFresh } from "../pages/admin/live.js";
import { theme } from "../settings.js";
import { language, t } from "../strings.js";
import { percent } from "./windows.js";

/**
 * @typedef {{at: number, usedPercent: number, resetsAt: number | null}} Point
 * @typedef {{id: string, label: string, points: Point[]}} WindowHistory
 * @typedef {{sinceAt: number, windows: WindowHistory[]}} History `GET /api/profiles/{id}/usage/history`
 */

const HEIGHT = 140;
const AGAIN_SECONDS = 120;
const SPANS = /** @type {const} */ ([1, 7, 30]);
/** A figure is kept at least so often; where there is none for longer, nobody could ask. */
const HOLE_MS = 3 * 3_600_000;

/**
 * Points as columns of times and values, in seconds as the library wants them. Over a hole nothing is drawn. Pure.
 *
 * @param {Point[]} points oldest first @param {number} from @param {number} until
 * @returns {[number[], (number | null)[]]}
 */
export function columnsOf(points, from, until) {
  const times = [from / 1000];
  /** @type {(number | null)[]} */
  const values = [null];
  let last = /** @type {number | null} */ (null);
  for (const { at, usedPercent } of points) {
    if (last !== null && at - last > HOLE_MS) {
      times.push((last + 1) / 1000);
      values.push(null);
    }
    times.push(at / 1000);
    values.push(usedPercent);
    last = at;
  }
  times.push(Math.max(until, last ?? 0) / 1000);
  values.push(null);
  return [times, values];
}

/** @param {{window: WindowHistory, from: number, until: number}} props */
function Curve({ window, from, until }) {
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const shown = theme.value;
  const tongue = language.value;
  useEffect(() => {
    /** @type {import("uplot") | null} */
    let plot = null;
    let gone = false;
    const host = /** @type {HTMLDivElement} */ (element.current);
    const [muted, line] = [colourOf(host, ".acct-chart-muted"), colourOf(host, ".acct-chart-line")];
    const most = Math.max(100, ...window.points.map((point) => point.usedPercent));
    const soft = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => plot?.redraw();
    drawing().then((Plot) => {
      if (gone) return;
      const axis = { stroke: muted, font: "12px system-ui, sans-serif", ticks: { show: false } };
      const hours = new Intl.DateTimeFormat(tongue, { hour: "2-digit", minute: "2-digit" });
      const days = new Intl.DateTimeFormat(tongue, { day: "numeric", month: "short" });
      plot = new Plot({
        width: host.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { show: false }, padding: [8, 8, 0, 0],
        scales: { x: { time: true, range: () => [from / 1000, until / 1000] }, y: { range: () => [0, most] } },
        axes: [
          { ...axis, size: 26, grid: { show: false }, space: 70, values: (_, splits) => splits.map((at) => (new Date(at * 1000).getHours() || until - from <= 86_400_000 ? hours : days).format(at * 1000)) },
          { ...axis, size: 52, grid: { stroke: colourOf(host, ".acct-chart-grid"), width: 1 }, splits: () => [0, 50, 100], values: (_, splits) => splits.map(percent) },
        ],
        // A line needs two.
        series: [{}, { stroke: line, width: 1.5, points: { show: window.points.length < 3, size: 6, fill: line } }],
      }, columnsOf(window.points, from, until), host);
      // What is drawn is said in words beside it.
      plot.root.setAttribute("aria-hidden", "true");
    }, () => {}); // without the line, its words stay
    const sizes = new ResizeObserver(() => plot?.setSize({ width: host.clientWidth, height: HEIGHT }));
    sizes.observe(host);
    soft.addEventListener("change", redraw);
    return () => {
      gone = true;
      sizes.disconnect();
      soft.removeEventListener("change", redraw);
      plot?.destroy();
    };
  }, [window, from, until, shown, tongue]);
  const values = window.points.map((point) => point.usedPercent);
  const [least, most, last] = [Math.min(...values), Math.max(...values), values[values.length - 1]].map(percent);
  const words = values.length === 0 ? t("acct.history.none") : least === most ? t("acct.history.flat", { last }) : t("acct.history.range", { least, most, last });
  return html`<figure class="acct-chart"><figcaption><h3>${window.label}</h3><span class="muted small">${words}</span></figcaption>
    <div ref=${element} class="acct-canvas"><span class="acct-chart-line" hidden></span><span class="acct-chart-muted" hidden></span><span class="acct-chart-grid" hidden></span></div></figure>`;
}

/** @param {{id: string}} props */
export function UsageHistory({ id }) {
  const [days, setDays] = useState(/** @type {typeof SPANS[number]} */ (7));
  const from = useFresh(async (signal) => {
    const answer = await call("GET", path`/api/profiles/${id}/usage/history` + query({ days }), undefined, { signal });
    return { answer: /** @type {History} */ (answer), until: Date.now() };
  }, [id, days], AGAIN_SECONDS);
  return html`<section class="acct-history"><div class="acct-history-head"><h2>${t("acct.history")}</h2>
      <fieldset class="segments"><legend class="visually-hidden">${t("acct.history.span")}</legend>${SPANS.map((one) => html`
        <label key=${one}><input type="radio" name="days" checked=${days === one} onChange=${() => setDays(one)} /><span>${t("acct.history.days", { count: one })}</span></label>`)}</fieldset></div>
    <${Shown} from=${from}>${(/** @type {{answer: History, until: number}} */ { answer, until }) =>
      answer.windows.length === 0
        ? html`<p class="muted">${t("acct.history.none")}</p>`
        : html`<div class="acct-charts">${answer.windows.map((window) => html`<${Curve} key=${window.id} window=${window} from=${answer.sinceAt} until=${until} />`)}</div>`}<//>
  </section>`;
}
