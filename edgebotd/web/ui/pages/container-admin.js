// What administrators do with a bot's container as a whole: make it anew, upgrade it, remove it. Each says before what
// will happen and what is kept, and leads to its live log.

import { call, path, Problem, query } from "../api.js";
import { html, useState } from "../lib.js";
import { Age } from "../parts/age.js";
import { Dialog } from "../parts/dialog.js";
import { useLoaded } from "../parts/loaded.js";
import { say } from "../parts/toast.js";
import { navigate } from "../router.js";
import { useSocketEvent } from "../socket.js";
import { t } from "../strings.js";
import { full } from "../time.js";
import { goesOn, idOf, placeOf } from "../work.js";
import { Field } from "./connect.js";
import { isReference } from "./new-bot-check.js";
import { kindWord, WorkMark } from "./work-parts.js";

/**
 * @typedef {{botId: string, name: string}} BotName
 * @typedef {"recreate" | "upgrade" | "back" | "remove"} Act
 * @typedef {{spec: {image: string}, at: number}} Previous what it was before its last upgrade
 */

const SHOWN = 5;

/**
 * A dialog that begins work on a container, and goes on to its log.
 *
 * @param {{title: string, action: string, danger?: boolean, wrong?: boolean, onClose: () => void, begin: () => Promise<any>, children: any}} props
 */
function Beginning({ title, action, danger = false, wrong = false, onClose, begin, children }) {
  const [refused, setRefused] = useState("");
  const [busy, setBusy] = useState(false);
  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    setRefused("");
    try {
      navigate(placeOf(idOf(await begin())));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setRefused(error.message);
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${title} onClose=${onClose}><form class="stack" onSubmit=${submit}>
    ${children}
    <p role="alert" class=${refused ? "trouble" : "visually-hidden"}>${refused}</p>
    <div class="actions"><button type="button" class="button" onClick=${onClose}>${t("dialog.cancel")}</button>
      <button class=${danger ? "button danger" : "button primary"} disabled=${busy || wrong}>${action}</button></div>
  </form><//>`;
}

/** @param {{happens: string[], kept: string[]}} props */
const Consequences = ({ happens, kept }) => html`<div class="work-consequences">
  <div><h3>${t("act.happens")}</h3><ul class="work-list">${happens.map((text) => html`<li key=${text}>${text}</li>`)}</ul></div>
  <div><h3>${t("act.kept")}</h3><ul class="work-list">${kept.map((text) => html`<li key=${text}>${text}</li>`)}</ul></div></div>`;

/** @param {{bot: BotName, onClose: () => void}} props */
export function RecreateDialog({ bot, onClose }) {
  return html`<${Beginning} title=${t("act.recreate.title", { name: bot.name })} action=${t("act.recreate")} onClose=${onClose}
      begin=${() => call("POST", path`/api/bots/${bot.botId}/container/recreate`)}>
    <${Consequences} happens=${[t("act.recreate.does"), t("act.recreate.pause"), t("act.back")]} kept=${[t("act.keep.volumes"), t("act.keep.history"), t("act.keep.image")]} />
  <//>`;
}

/** @param {{bot: BotName, image?: string | null, onClose: () => void}} props `image`: what it runs now */
export function UpgradeDialog({ bot, image = null, onClose }) {
  const [wanted, want] = useState("");
  const bad = wanted !== "" && !isReference(wanted);
  return html`<${Beginning} title=${t("act.upgrade.title", { name: bot.name })} action=${t("act.upgrade")} wrong=${bad} onClose=${onClose}
      begin=${() => call("POST", path`/api/bots/${bot.botId}/container/upgrade`, wanted ? { image: wanted } : {})}>
    ${image && html`<p class="small muted">${t("act.upgrade.now")} <code>${image}</code></p>`}
    <${Field} label=${t("act.upgrade.image")} hint=${bad ? t("make.bad.image") : t("act.upgrade.hint")} name="image" dir="ltr" autofocus autocapitalize="none" spellcheck=${false}
      aria-invalid=${bad ? "true" : null} value=${wanted} onInput=${(/** @type {any} */ event) => want(event.target.value.trim())} />
    <${Consequences} happens=${[t("act.upgrade.does"), t("act.upgrade.snapshot"), t("act.back")]} kept=${[t("act.keep.volumes"), t("act.keep.history")]} />
  <//>`;
}

/** @param {{bot: BotName, previous: Previous, onClose: () => void}} props */
export function BackDialog({ bot, previous, onClose }) {
  return html`<${Beginning} title=${t("act.goBack.title", { name: bot.name })} action=${t("act.goBack")} onClose=${onClose}
      begin=${() => call("POST", path`/api/bots/${bot.botId}/container/upgrade`, { back: true })}>
    <p class="small muted">${t("act.goBack.to")} <code>${previous.spec.image}</code></p>
    <${Consequences} happens=${[t("act.goBack.does"), t("act.goBack.volumes", { time: full(previous.at) }), t("act.back")]} kept=${[t("act.goBack.kept"), t("act.keep.history")]} />
  <//>`;
}

/** @param {{bot: BotName, onClose: () => void}} props */
export function RemoveDialog({ bot, onClose }) {
  const [keepHistory, setHistory] = useState(true);
  const [keepVolumes, setVolumes] = useState(true);
  const happens = [t("act.remove.does"), !keepVolumes && t("act.remove.volumes"), !keepHistory && t("act.remove.history"), t("act.remove.id", { id: bot.botId })];
  const kept = [keepVolumes && t("act.keep.volumes"), keepHistory && t("act.keep.history")].filter((text) => text !== false);
  return html`<${Beginning} title=${t("bot.remove.title", { name: bot.name })} action=${t("bot.remove")} danger onClose=${onClose}
      begin=${() => call("POST", path`/api/bots/${bot.botId}/container/remove`, { keepHistory, keepVolumes })}>
    <fieldset><legend>${t("act.remove.keep")}</legend>
      <label class="choice"><input type="checkbox" checked=${keepVolumes} onChange=${() => setVolumes(!keepVolumes)} /><span>${t("act.remove.keepVolumes")}</span></label>
      <label class="choice"><input type="checkbox" checked=${keepHistory} onChange=${() => setHistory(!keepHistory)} /><span>${t("act.remove.keepHistory")}</span></label>
    </fieldset>
    <${Consequences} happens=${happens.filter((text) => text !== false)} kept=${kept.length ? kept : [t("act.keep.nothing")]} />
  <//>`;
}

/**
 * @typedef {{keeps: string[], loses: string[], obstacles: string[], taken: boolean}} Plan `GET /api/bots/{id}/container/take-over`
 */

/** What an adopted container would be, made anew. @param {{bot: BotName, plan: Plan, onClose: () => void, onTaken: () => void}} props */
export function TakeOverDialog({ bot, plan, onClose, onTaken }) {
  const [accepted, accept] = useState(false);
  const [refused, setRefused] = useState("");
  const [busy, setBusy] = useState(false);
  const { keeps, loses, obstacles } = plan;
  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    try {
      await call("POST", path`/api/bots/${bot.botId}/container/take-over`, { accepted: loses });
      say(t("act.take.done", { name: bot.name }));
      onTaken();
      onClose();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setRefused(error.message);
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${t("act.take.title", { name: bot.name })} onClose=${onClose}><form class="stack" onSubmit=${submit}>
    <p>${t("act.take.text")}</p>
    ${obstacles.length > 0 && html`<div class="work-obstacle"><h3>${t("adopt.first")}</h3><ul class="work-list">${obstacles.map((text) => html`<li key=${text}>${text}</li>`)}</ul></div>`}
    <div class="work-consequences">
      ${keeps.length > 0 && html`<div><h3>${t("act.take.keeps")}</h3><ul class="work-list">${keeps.map((text) => html`<li key=${text}>${text}</li>`)}</ul></div>`}
      ${loses.length > 0 && html`<div><h3>${t("act.take.loses")}</h3><ul class="work-list">${loses.map((text) => html`<li key=${text}>${text}</li>`)}</ul></div>`}</div>
    ${loses.length > 0 && html`<label class="choice"><input type="checkbox" checked=${accepted} onChange=${() => accept(!accepted)} /><span>${t("act.take.accept")}</span></label>`}
    <p role="alert" class=${refused ? "trouble" : "visually-hidden"}>${refused}</p>
    <div class="actions"><button type="button" class="button" onClick=${onClose}>${t("dialog.cancel")}</button>
      <button class="button primary" disabled=${busy || obstacles.length > 0 || (loses.length > 0 && !accepted)}>${t("act.take")}</button></div>
  </form><//>`;
}

/** Of an adopted container: it stays as it is until it is taken over. @param {{bot: BotName, children: any}} props `children`: what can be done after that */
function Adopted({ bot, children }) {
  const { value, error, reload } = useLoaded((signal) => call("GET", path`/api/bots/${bot.botId}/container/take-over`, undefined, { signal }), [bot.botId]);
  const [asking, ask] = useState(false);
  if (value?.taken) return children;
  return html`<div class="stack"><p class="small muted">${t("act.adopted")}</p>
    ${error && html`<p class="small">${error.message}</p>`}
    ${value && html`<div><button type="button" class="button" onClick=${() => ask(true)}>${t("act.take.open")}</button></div>`}
    ${value && asking && html`<${TakeOverDialog} bot=${bot} plan=${value} onClose=${() => ask(false)} onTaken=${reload} />`}</div>`;
}

/**
 * The buttons, each with its dialog; nothing for a container that the settings file names.
 *
 * @param {{bot: BotName, image?: string | null, previous?: Previous | null, origin?: "provisioned" | "adopted" | "file" | null}} props `adopted`: it was there before
 *   edgebotd, which has to learn first what to make it from, and never removes it
 */
export function ContainerActions({ bot, image = null, previous = null, origin = "provisioned" }) {
  const [act, setAct] = useState(/** @type {Act | null} */ (null));
  const close = () => setAct(null);
  if (origin !== "provisioned" && origin !== "adopted") return null;
  const buttons = html`<div class="actions start">
    <button type="button" class="button" onClick=${() => setAct("upgrade")}>${t("act.upgrade.open")}</button>
    ${previous && html`<button type="button" class="button" onClick=${() => setAct("back")}>${t("act.goBack.open")}</button>`}
    <button type="button" class="button" onClick=${() => setAct("recreate")}>${t("act.recreate.open")}</button>
    ${origin === "provisioned" && html`<button type="button" class="button danger" onClick=${() => setAct("remove")}>${t("act.remove.open")}</button>`}
    ${act === "upgrade" && html`<${UpgradeDialog} bot=${bot} image=${image} onClose=${close} />`}
    ${act === "back" && previous && html`<${BackDialog} bot=${bot} previous=${previous} onClose=${close} />`}
    ${act === "recreate" && html`<${RecreateDialog} bot=${bot} onClose=${close} />`}
    ${act === "remove" && html`<${RemoveDialog} bot=${bot} onClose=${close} />`}</div>`;
  return origin === "adopted" ? html`<${Adopted} bot=${bot}>${buttons}<//>` : buttons;
}

/** The newest work on a bot's container, each leading to its log; nothing where there was none. @param {{botId: string}} props */
export function RecentWork({ botId }) {
  const { value, reload } = useLoaded((signal) => call("GET", `/api/operations${query({ botId, limit: SHOWN })}`, undefined, { signal }), [botId]);
  const again = (/** @type {{botId?: string}} */ event) => event.botId === botId && reload();
  useSocketEvent("gap", reload);
  useSocketEvent("provision-done", again);
  useSocketEvent("provision-log", (event) => event.text === "begins" && again(event));
  /** @type {import("../work.js").Operation[]} */
  const items = value?.items ?? [];
  if (items.length === 0) return null;
  return html`<section><h2>${t("work.recent")}</h2><ul class="work-recent">${items.map((one) => html`<li key=${one.id}><a href=${placeOf(one.id)} class="work-recent-row">
    <${WorkMark} state=${one.state} /><span>${kindWord(one)}</span>
    <span class="muted">${t(`work.state.${one.state}`)}, <${Age} at=${goesOn(one) ? one.startedAt : (one.endedAt ?? one.startedAt)} /></span></a></li>`)}</ul></section>`;
}
