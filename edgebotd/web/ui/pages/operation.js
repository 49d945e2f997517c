// One piece of work on a bot's container: its steps, how far each is, the log as it is told, and what came of it.

import { call, path } from "../api.js";
import { engine } from "../containers.js";
import { docker } from "../docker.js";
import { bots } from "../house.js";
import { html, useState } from "../lib.js";
import { Failed, Loading } from "../parts/loaded.js";
import { sayError } from "../parts/toast.js";
import { navigate } from "../router.js";
import { t } from "../strings.js";
import { full } from "../time.js";
import { goesOn, idOf, placeOf, pullOf, reasonOf, stepsOf, useOperation } from "../work.js";
import { Head } from "./admin/live.js";
import { Bar, Elapsed, kindTitle, stepWord, stopwatch, successWord, took, WorkMark } from "./work-parts.js";

/** @typedef {import("../work.js").OperationDetail} OperationDetail */

/** What is shorter took no time. */
const SHORT_MS = 100;

/** What an operation is about, in words. @param {import("../work.js").Operation} one */
export function titleOf(one) {
  const name = bots.value.get(one.botId)?.name ?? one.request.name ?? one.botId;
  return kindTitle(one, name);
}

/** @param {{pull: import("../docker.js").Pull}} props */
function PullProgress({ pull }) {
  const { image, bytesDone, bytesTotal, layersDone, layers } = pull;
  const most = bytesTotal ?? 0;
  return html`<div class="work-pull"><${Bar} label=${t("work.pull", { image })} value=${bytesDone} most=${most} />
    <p class="small muted">${most ? t("work.pull.of", { done: megabytes(bytesDone), total: megabytes(most) }) : megabytes(bytesDone)} · ${t("work.pull.layers", { done: layersDone, count: layers })}</p></div>`;
}

/** In one unit, so that the two numbers can be told apart at a glance. @param {number} bytes */
const megabytes = (bytes) => t("work.megabytes", { n: (bytes / 1_000_000).toFixed(1) });

/** Lines with the time since it all began, which tells more here than a clock. @param {{lines: import("../work.js").Line[], from: number}} props */
const Lines = ({ lines, from }) => html`<ol class="work-lines">${lines.map((line, index) => html`<li key=${`${line.at}-${index}`}>
  <time class="muted" datetime=${new Date(line.at).toISOString()} title=${full(line.at)}>${stopwatch(line.at - from)}</time> <span dir="auto">${line.text}</span></li>`)}</ol>`;

/** @param {{step: import("../work.js").StepView, from: number, pull: import("../docker.js").Pull | null}} props */
function Step({ step, from, pull }) {
  const { name, state, lines, beganAt, endedAt } = step;
  const running = state === "running" || state === "undoing";
  return html`<li class="work-step" data-state=${state} aria-current=${running ? "step" : null}>
    <${WorkMark} state=${state} />
    <div class="work-step-head"><h3>${stepWord(name)}</h3>
      <span class="small muted">${t(`work.state.${state}`)}${beganAt !== null && running && html` · <${Elapsed} from=${beganAt} />`}${
        beganAt !== null && endedAt !== null && endedAt - beganAt >= SHORT_MS && ` · ${took(endedAt - beganAt)}`}</span></div>
    <div class="work-step-body">
      ${pull && html`<${PullProgress} pull=${pull} />`}
      ${lines.length > 0 && html`<${Lines} lines=${lines} from=${from} />`}
    </div></li>`;
}

/** How it is as a whole, in one sentence. @param {OperationDetail} one */
function verdict(one) {
  if (one.state === "running") {
    const at = one.steps.indexOf(one.step);
    if (at < 0) return t("work.verdict.waiting");
    return t("work.verdict.running", { step: stepWord(one.step), at: at + 1, steps: one.steps.length });
  }
  if (one.state === "succeeded") return successWord(one);
  return t(`work.verdict.${one.state}`);
}

/** What was taken back, or was not. @param {OperationDetail} one */
function aftermath(one) {
  if (one.state !== "failed" && one.state !== "cancelled") return null;
  if (one.kind === "create") return t("work.after.create");
  if (one.kind === "adopt") return t("work.after.adopt");
  if (one.kind === "recreate" || one.kind === "upgrade") return t("work.after.old");
  return null;
}

/** Where somebody goes to do the same a little differently. @param {OperationDetail} one */
function changed(one) {
  if (one.kind === "create") return `/operations/new?from=${encodeURIComponent(one.id)}`;
  if (one.kind === "adopt") return `/operations/adopt?container=${encodeURIComponent(one.request.container ?? "")}`;
  return null;
}

/** @param {{one: OperationDetail, reload: () => void}} props */
function Actions({ one, reload }) {
  const [busy, setBusy] = useState(false);
  /** @param {() => Promise<void>} act */
  async function doing(act) {
    setBusy(true);
    try {
      await act();
    } catch (error) {
      sayError(error);
      reload();
    } finally {
      setBusy(false);
    }
  }
  const cancel = () => doing(async () => (await call("POST", path`/api/operations/${one.id}/cancel`), reload()));
  const retry = () => doing(async () => navigate(placeOf(idOf(await call("POST", path`/api/operations/${one.id}/retry`)))));
  if (goesOn(one)) {
    // Gone while it is undone, so that nothing seems to be pressed for nothing.
    return one.state === "running" && html`<div class="actions start"><button type="button" class="button" disabled=${busy} onClick=${cancel}>${t("work.cancel")}</button>
      <span class="small muted">${t("work.leave")}</span></div>`;
  }
  const there = bots.value.has(one.botId);
  if (one.state === "succeeded") {
    return html`<div class="actions start">
      ${one.kind !== "remove" && there && html`<a class="button primary" href=${`/chat/${one.botId}`}>${t("connect.chat")}</a>
        <a class="button" href=${`/bots/${one.botId}/about`}>${t("work.toBot")}</a>`}
      ${(one.kind === "remove" || !there) && html`<a class="button primary" href="/">${t("notFound.home")}</a>`}</div>`;
  }
  const other = changed(one);
  // A token that was given is kept nowhere: it has to be given again.
  const again = one.kind !== "adopt" || !one.request.token;
  return html`<div class="actions start">
    ${again && html`<button type="button" class="button primary" disabled=${busy} onClick=${retry}>${t("loading.retry")}</button>`}
    ${other && html`<a class=${again ? "button" : "button primary"} href=${other}>${t(again ? "work.change" : "work.adoptAgain")}</a>`}</div>`;
}

/** @param {{one: OperationDetail, reload: () => void}} props */
function Whole({ one, reload }) {
  const pull = pullOf(one, docker.value);
  const after = aftermath(one);
  const ended = !goesOn(one);
  const away = !ended && (engine.value?.state === "down" || engine.value?.state === "frozen") ? engine.value.detail : null;
  return html`
    ${away && html`<p class="admin-stale" role="status">${away} ${t("work.away")}</p>`}
    <section class="work-verdict" data-state=${one.state} aria-label=${t("work.outcome")}>
      <${WorkMark} state=${one.state} />
      <div class="work-verdict-words"><p role="status"><strong>${verdict(one)}</strong></p>
        ${reasonOf(one) && html`<p role=${ended ? "alert" : null} dir="auto">${reasonOf(one)}</p>`}
        ${after && html`<p class="muted">${after}</p>`}
        <p class="small muted">${one.userId && `${t("work.by", { user: one.userId })} · `}<span title=${full(one.startedAt)}>${ended
          ? t("work.took", { time: took((one.endedAt ?? one.startedAt) - one.startedAt) })
          : html`${t("work.going")} <${Elapsed} from=${one.startedAt} />`}</span>${one.request.image && html` · <code>${one.request.image}</code>`}</p>
        <${Actions} one=${one} reload=${reload} />
      </div></section>
    <section><h2>${t("work.steps")}</h2>
      <ol class="work-steps">${stepsOf(one).map((step) => html`<${Step} key=${step.name} step=${step} from=${one.startedAt} pull=${step.name === "pull" ? pull : null} />`)}</ol>
      ${one.steps.length === 0 && html`<${Lines} lines=${one.lines} from=${one.startedAt} />`}
    </section>`;
}

/** @param {{id: string}} props */
export function OperationPage({ id }) {
  const { value, error, reload } = useOperation(id);
  const back = { to: "/admin/operations", name: t("admin.operations") };
  return html`<div class="work">
    <${Head} title=${value === null ? t("work.one") : titleOf(value)} back=${back} />
    ${value === null
      ? error !== null ? html`<${Failed} error=${error} retry=${reload} />` : html`<${Loading} rows=${6} />`
      : html`${error && html`<p class="admin-stale" role="status">${t("admin.stale", { detail: error.message })}</p>`}<${Whole} one=${value} reload=${reload} />`}
  </div>`;
}
