// What a bot's container uses: now, in the last minutes, and over the day.

import { call, path, Problem } from "../api.js";
import { html, useEffect, useState } from "../lib.js";
import { useLoaded } from "../parts/loaded.js";
import { range, Sparkline } from "../parts/sparkline.js";
import { socket, useSocketEvent } from "../socket.js";
import { language, t } from "../strings.js";
import { now, size } from "../time.js";

/**
 * @typedef {{at: number, cpuPercent?: number | null, memoryBytes: number, memoryLimitBytes?: number | null,
 *   receivedPerSecond?: number | null, sentPerSecond?: number | null}} Sample
 * @typedef {(sample: Sample) => number | null} Read
 */

const LIVE_MS = 120_000;
const DAY_MS = 86_400_000;
const AGAIN_MS = 300_000;
/** An idle bot's noise is no mountain. */
const FLOOR = { cpu: 10, memory: 10_000_000, network: 1000 };

/** @param {number | null | undefined} value */
const known = (value) => value ?? null;
const percent = (/** @type {number} */ value) => t("use.percent", { n: new Intl.NumberFormat(language.value, { maximumFractionDigits: value < 10 ? 1 : 0 }).format(value) });
const speed = (/** @type {number} */ value) => t("use.perSecond", { size: size(Math.round(value)) });

/** Measured live, the newest last; and of the day. @param {string} botId */
function useSamples(botId) {
  const [live, setLive] = useState(/** @type {Sample[]} */ ([]));
  const { value, reload } = useLoaded(async (signal) => {
    try {
      return (await call("GET", path`/api/bots/${botId}/container/usage`, undefined, { signal })).items;
    } catch (error) {
      // What is measured now is shown all the same.
      if (error instanceof Problem && !error.passing && error.status !== 401) return [];
      throw error;
    }
  }, [botId]);
  useEffect(() => {
    const end = socket.watch({ stats: [botId] });
    const timer = setInterval(() => document.hidden || reload(), AGAIN_MS);
    return () => {
      end();
      clearInterval(timer);
      setLive([]);
    };
  }, [botId]);
  useSocketEvent("bot-stats", (/** @type {Sample & {botId: string}} */ event) => {
    if (event.botId === botId) setLive((before) => [...before.filter(({ at }) => at > event.at - LIVE_MS), event]);
  });
  return { live, day: /** @type {Sample[]} */ (value ?? []) };
}

/**
 * One curve with its span and its range in words.
 *
 * @param {{what: string, span: string, samples: Sample[], reads: Read[], until: number, length: number, floor: number, limit?: number | null, words: (value: number) => string, names?: string[]}} props
 */
function Curve({ what, span, samples, reads, until, length, floor, limit, words, names = [] }) {
  const curves = reads.map((read, index) => ({ points: samples.map((sample) => ({ at: sample.at, value: read(sample) })), dashed: index > 0 }));
  const ranges = curves.map(({ points }) => range(points));
  const parts = ranges.flatMap((one, index) => (one === null ? [] : [{ name: names[index], least: words(one.least), most: words(one.most), average: words(one.average) }]));
  const said = parts.map(({ name, ...values }) => [name, t("use.range", values)].filter(Boolean).join(" ")).join("; ");
  const top = Math.max(floor, ...ranges.map((one) => one?.most ?? 0));
  // A limit that is near belongs into the picture; one that is far would press the curve flat.
  const most = limit && top > limit / 4 ? limit : top * 1.15;
  if (parts.length === 0) return html`<p class="use-curve small muted">${span}<br />${t("use.nothing")}</p>`;
  return html`<div class="use-curve"><${Sparkline} curves=${curves} from=${until - length} until=${until} most=${most} label=${t("use.graph", { what, span, words: said || t("use.nothing") })} />
    <p class="small muted" aria-hidden="true">${span}${parts.map(({ name, least, most }) => html`<br />${name && `${name} `}${least === most ? most : t("use.span", { least, most })}`)}</p></div>`;
}

/** @param {{what: string, value: any, children: any}} props */
const Figure = ({ what, value, children }) => html`<section class="use"><h3 class="muted">${what}</h3><p class="use-now">${value}</p>${children}</section>`;

/** @param {{botId: string, up: boolean}} props */
export function Usage({ botId, up }) {
  const { live, day } = useSamples(botId);
  const newest = up ? live.at(-1) : undefined;
  const at = Math.max(now.value, live.at(-1)?.at ?? 0);
  const dash = html`<span class="muted">–</span>`;
  const both = (/** @type {Omit<Parameters<typeof Curve>[0], "span" | "samples" | "until" | "length">} */ props) => html`<div class="use-curves">
    <${Curve} ...${props} span=${t("use.live")} samples=${live} until=${at} length=${LIVE_MS} /><${Curve} ...${props} span=${t("use.day")} samples=${day} until=${at} length=${DAY_MS} /></div>`;
  const cpu = known(newest?.cpuPercent);
  const limit = known(newest?.memoryLimitBytes ?? live.at(-1)?.memoryLimitBytes);
  const received = known(newest?.receivedPerSecond);
  const sent = known(newest?.sentPerSecond);
  return html`<section class="uses" aria-label=${t("use.title")}><h2>${t("use.title")}</h2>
    ${!up && html`<p class="muted">${t("use.off")}</p>`}
    ${(up || live.length > 0 || day.length > 0) && html`<div class="use-row">
      <${Figure} what=${t("use.cpu")} value=${cpu === null ? dash : percent(cpu)}>${both({ what: t("use.cpu"), reads: [(one) => known(one.cpuPercent)], floor: FLOOR.cpu, words: percent })}<//>
      <${Figure} what=${t("use.memory")} value=${newest ? html`${size(newest.memoryBytes)} ${limit !== null && html`<small class="muted">${t("use.of", { size: size(limit) })}</small>`}` : dash}>
        ${both({ what: t("use.memory"), reads: [(one) => one.memoryBytes], floor: FLOOR.memory, limit, words: size })}<//>
      <${Figure} what=${t("use.network")} value=${received === null || sent === null ? dash : html`<small class="muted">${t("use.in")}</small> ${speed(received)} <small class="muted">${t("use.out")}</small> ${speed(sent)}`}>
        ${both({ what: t("use.network"), reads: [(one) => known(one.receivedPerSecond), (one) => known(one.sentPerSecond)], floor: FLOOR.network, words: speed, names: [t("use.in"), t("use.out")] })}<//>
    </div>`}</section>`;
}
