// A small curve beside its words: nobody has to read the curve to know what it says.

import { html } from "../lib.js";

/**
 * @typedef {{at: number, value: number | null}} Point null: nothing was measured then
 * @typedef {{points: Point[], dashed?: boolean}} Curve
 */

export const WIDTH = 240;
export const HEIGHT = 40;
const MARGIN = 2;

/** How far apart two points may be before nothing is drawn between them. @param {number} from @param {number} until */
const gap = (from, until) => (until - from) / 12;

/**
 * The curve as SVG path data; a new piece begins after a hole. Pure.
 *
 * @param {Point[]} points oldest first @param {{from: number, until: number, most: number}} frame
 */
export function pathOf(points, { from, until, most }) {
  let path = "";
  let last = /** @type {Point | null} */ (null);
  for (const point of points) {
    if (point.value === null || point.at < from || point.at > until) {
      if (point.value === null) last = null;
      continue;
    }
    const x = ((point.at - from) / (until - from)) * WIDTH;
    const y = HEIGHT - MARGIN - (Math.min(point.value, most) / most) * (HEIGHT - 2 * MARGIN);
    const begins = last === null || point.at - last.at > gap(from, until);
    // A lone point is a dot: a line of no length with round ends.
    path += begins ? `M${x.toFixed(1)} ${y.toFixed(1)}h0` : `L${x.toFixed(1)} ${y.toFixed(1)}`;
    last = point;
  }
  return path;
}

/** The least, the most and the average of what was measured; null where nothing was. Pure. @param {Point[]} points */
export function range(points) {
  const values = points.map(({ value }) => value).filter((value) => value !== null);
  if (values.length === 0) return null;
  return { least: Math.min(...values), most: Math.max(...values), average: values.reduce((sum, one) => sum + one, 0) / values.length };
}

/**
 * @param {{curves: Curve[], from: number, until: number, most: number, label: string}} props `most` is the top of the
 *   scale, `label` what the curve says, in words
 */
export function Sparkline({ curves, from, until, most, label }) {
  return html`<svg class="sparkline" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${label}>
    <path class="sparkline-floor" d=${`M0 ${HEIGHT - 0.5}H${WIDTH}`} vector-effect="non-scaling-stroke" />
    ${curves.map(({ points, dashed }, index) => html`<path key=${index} class=${dashed ? "sparkline-curve dashed" : "sparkline-curve"} vector-effect="non-scaling-stroke"
      d=${pathOf(points, { from, until, most: Math.max(most, Number.MIN_VALUE) })} />`)}
  </svg>`;
}
