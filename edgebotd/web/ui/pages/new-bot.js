// A new bot with a container of its own: a name is enough, everything else has a default and can be said.

import { call, path, Problem } from "../api.js";
import { docker } from "../docker.js";
import { bots } from "../house.js";
import { html, useEffect, useId, useMemo, useRef, useState } from "../lib.js";
import { Icon } from "../parts/icon.js";
import { Failed, Loading, useLoaded } from "../parts/loaded.js";
import { navigate, search } from "../router.js";
import { t } from "../strings.js";
import { idOf as idOfAnswer, placeOf } from "../work.js";
import { Head } from "./admin/live.js";
import { idOf } from "./connect.js";
import { draftOf, MIB, requestOf, troubles, variableTrouble } from "./new-bot-check.js";

/**
 * @typedef {import("./new-bot-check.js").Draft} Draft
 * @typedef {{image: string, memory: string, cpus: string, pids: string, secrets: string[]}} Defaults what docker.* of the settings says
 */

const FOLDED = /** @type {const} */ (["memory", "cpus", "pids"]);

/** What the settings in force say of new bots. @param {AbortSignal} abort @returns {Promise<Defaults>} */
async function loadDefaults(abort) {
  const { items } = await call("GET", "/api/config", undefined, { signal: abort });
  const values = new Map(items.map((/** @type {{key: string, value: unknown}} */ one) => [one.key, one.value]));
  const text = (/** @type {string} */ key) => String(values.get(`docker.${key}`) ?? "");
  return {
    image: text("image"), memory: String(Number(values.get("docker.memory_bytes") ?? 0) / MIB), cpus: text("cpus"), pids: text("pids"),
    secrets: Object.keys(/** @type {object} */ (values.get("docker.secrets") ?? {})).sort(),
  };
}

/** The request of an earlier try; nothing where it can't be had. @param {string | null} id @param {AbortSignal} abort */
async function loadEarlier(id, abort) {
  if (id === null) return undefined;
  try {
    const operation = await call("GET", path`/api/operations/${id}`, undefined, { signal: abort });
    return { ...operation.request, id: operation.botId };
  } catch (error) {
    if (error instanceof Problem && !abort.aborted) return undefined;
    throw error;
  }
}

/**
 * A field with what is wrong below it, said once somebody has been there.
 *
 * @param {{label: string, hint?: string, trouble?: string, [attribute: string]: any}} props
 */
function Checked({ label, hint, trouble, ...attributes }) {
  const id = useId();
  return html`<div class="field"><label class="small muted" for=${id}>${label}</label>
    <input class="input" dir="auto" autocomplete="off" id=${id} aria-invalid=${trouble ? "true" : null} aria-describedby=${`${id}-said`} ...${attributes} />
    <small id=${`${id}-said`} class=${trouble ? "trouble" : "muted"}>${trouble || hint}</small></div>`;
}

/** @param {{variables: Draft["variables"], secrets: string[], change: (variables: Draft["variables"]) => void}} props */
function Variables({ variables, secrets, change }) {
  /** @param {number} index @param {Partial<Draft["variables"][number]>} news */
  const put = (index, news) => change(variables.map((one, at) => (at === index ? { ...one, ...news } : one)));
  const text = (/** @type {any} */ event) => event.target.value;
  return html`<div class="work-variables" role="group" aria-label=${t("make.environment")}>
    ${variables.map((one, index) => {
      const trouble = variableTrouble(one, variables);
      const said = `make-variable-${index}`;
      return html`<div key=${index} class="work-variable">
        <input class="input" aria-label=${t("make.variable")} placeholder="NAME" dir="ltr" autocomplete="off" autocapitalize="characters" spellcheck=${false} value=${one.name}
          aria-invalid=${trouble ? "true" : null} aria-describedby=${said} onInput=${(/** @type {any} */ event) => put(index, { name: text(event) })} />
        <select class="input" aria-label=${t("make.variableKind")} value=${one.secret ? "secret" : "plain"} onChange=${(/** @type {any} */ event) => put(index, { secret: text(event) === "secret", value: "" })}>
          <option value="plain">${t("make.plain")}</option><option value="secret">${t("make.secret")}</option></select>
        ${one.secret
          ? html`<select class="input" aria-label=${t("make.secretName")} value=${one.value} onChange=${(/** @type {any} */ event) => put(index, { value: text(event) })}>
              <option value="">${t("make.secretChoose")}</option>${secrets.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
              ${one.value && !secrets.includes(one.value) && html`<option value=${one.value}>${one.value}</option>`}</select>`
          : html`<input class="input" aria-label=${t("make.value")} dir="auto" autocomplete="off" spellcheck=${false} maxlength="4096" value=${one.value} onInput=${(/** @type {any} */ event) => put(index, { value: text(event) })} />`}
        <button type="button" class="icon-button" onClick=${() => change(variables.filter((_, at) => at !== index))}><${Icon} name="close" label=${t("make.variableRemove", { name: one.name || String(index + 1) })} /></button>
        <small id=${said} class="trouble">${trouble}</small></div>`;
    })}
    <div><button type="button" class="button" onClick=${() => change([...variables, { name: "", value: "", secret: false }])}><${Icon} name="add" />${t("make.variableAdd")}</button></div>
    ${secrets.length === 0 && html`<small class="muted">${t("make.noSecrets")}</small>`}
  </div>`;
}

/** @param {{defaults: Defaults, earlier?: Record<string, any>}} props */
function Form({ defaults, earlier }) {
  const [draft, setDraft] = useState(() => draftOf(earlier));
  // An id is made of the name until somebody writes one.
  const [ownId, setOwnId] = useState(earlier !== undefined);
  const [been, setBeen] = useState(/** @type {ReadonlySet<string>} */ (new Set(earlier === undefined ? [] : ["id", "image"])));
  const [refused, setRefused] = useState("");
  const [busy, setBusy] = useState(false);
  const said = useId();

  const whole = useMemo(() => ({ ...draft, id: ownId ? draft.id : idOf(draft.name) }), [draft, ownId]);
  const wrong = useMemo(() => troubles(whole, new Set(bots.value.keys())), [whole, bots.value]);
  /** @param {Partial<Draft>} news */
  const put = (news) => {
    setDraft((before) => ({ ...before, ...news }));
    setBeen((before) => new Set([...before, ...Object.keys(news), ...("name" in news ? ["id"] : [])]));
    setRefused("");
  };
  /** @param {keyof Draft} key */
  const field = (key) => ({
    name: key, value: whole[key], trouble: been.has(key) ? wrong[key] : undefined, onInput: (/** @type {any} */ event) => put({ [key]: event.target.value }),
  });

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    setBeen(new Set(Object.keys(whole)));
    const [first] = Object.keys(wrong);
    if (first) {
      const form = /** @type {HTMLFormElement} */ (event.target);
      const at = /** @type {HTMLElement | null} */ (form.querySelector(`[name=${first}], .work-variable [aria-invalid]`));
      const folded = at?.closest("details");
      if (folded) folded.open = true;
      at?.focus();
      return;
    }
    setBusy(true);
    try {
      navigate(placeOf(idOfAnswer(await call("POST", "/api/bots", requestOf(whole)))));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setRefused(error.message);
      setBusy(false);
    }
  }

  const form = useRef(/** @type {HTMLFormElement | null} */ (null));
  useEffect(() => {
    // On touch it would open a keyboard over what is to be read first.
    if (!matchMedia("(pointer: coarse)").matches) form.current?.querySelector("input")?.focus();
  }, []);

  const engine = docker.value?.engine;
  const away = engine !== undefined && ["none", "down", "frozen"].includes(engine.state);
  const opened = FOLDED.some((key) => draft[key]);
  return html`<form ref=${form} class="work-form" noValidate onSubmit=${submit}>
    ${away && html`<div class="notice" role="status"><p>${engine.detail ?? t("make.noEngine")}</p></div>`}
    <${Checked} label=${t("connect.name")} maxlength="100" ...${field("name")} />
    <${Checked} label=${t("connect.id")} hint=${t("connect.id.hint")} maxlength="32" autocapitalize="none" spellcheck=${false} ...${field("id")}
      onInput=${(/** @type {any} */ event) => (setOwnId(true), put({ id: event.target.value }))} />
    <${Checked} label=${t("make.image")} hint=${t("make.image.hint", { image: defaults.image })} placeholder=${defaults.image} dir="ltr" autocapitalize="none" spellcheck=${false} ...${field("image")} />
    <${Checked} label=${t("connect.model")} hint=${t("make.model.hint")} placeholder="provider/model" maxlength="200" dir="ltr" autocapitalize="none" spellcheck=${false} ...${field("model")} />
    <details class="work-fold" open=${opened}><summary>${t("make.limits")} <span class="muted">${t("make.limits.now", {
        memory: draft.memory || defaults.memory, cpus: draft.cpus || defaults.cpus, pids: draft.pids || defaults.pids })}</span></summary>
      <div class="work-folded work-three">
        <${Checked} label=${t("make.memory")} inputmode="decimal" placeholder=${defaults.memory} ...${field("memory")} />
        <${Checked} label=${t("make.cpus")} inputmode="decimal" placeholder=${defaults.cpus} ...${field("cpus")} />
        <${Checked} label=${t("make.pids")} inputmode="numeric" placeholder=${defaults.pids} ...${field("pids")} />
      </div></details>
    <details class="work-fold" open=${draft.variables.length > 0}><summary>${t("make.environment")} <span class="muted">${t("make.environment.count", { count: draft.variables.length })}</span></summary>
      <div class="work-folded"><p class="small muted">${t("make.environment.text")}</p>
        <${Variables} variables=${draft.variables} secrets=${defaults.secrets} change=${(/** @type {Draft["variables"]} */ variables) => put({ variables })} /></div></details>
    <details class="work-fold" open=${draft.config !== ""}><summary>${t("make.config")} <span class="muted">${t(draft.config.trim() ? "make.config.some" : "make.config.none")}</span></summary>
      <div class="work-folded field"><label class="small muted" for=${`${said}-config`}>${t("make.config.label")}</label>
        <textarea class="input work-json" id=${`${said}-config`} rows="8" dir="ltr" spellcheck=${false} autocomplete="off" aria-describedby=${`${said}-json`} aria-invalid=${wrong.config ? "true" : null}
          name="config" value=${draft.config} onInput=${(/** @type {any} */ event) => put({ config: event.target.value })}></textarea>
        <small id=${`${said}-json`} class=${wrong.config ? "trouble" : "muted"}>${wrong.config ?? t("make.config.hint")}</small></div></details>
    <p class="muted small">${t("make.promise")}</p>
    <p role="alert" class=${refused ? "trouble" : "visually-hidden"}>${refused}</p>
    <div class="actions start"><button class="button primary" disabled=${busy}>${t(busy ? "make.asking" : "make.go")}</button>
      <a class="button" href="/">${t("dialog.cancel")}</a></div>
  </form>`;
}

export function NewBotPage() {
  const from = search.value.get("from");
  const { value, error, reload } = useLoaded(async (abort) => {
    const [defaults, earlier] = await Promise.all([loadDefaults(abort), loadEarlier(from, abort)]);
    return { defaults, earlier };
  }, [from]);
  useEffect(() => {
    if (error?.status === 403) navigate("/", { replace: true });
  }, [error]);
  return html`<div class="work">
    <${Head} title=${t("make.title")} text=${t("make.text")} back=${{ to: "/?add", name: t("add.title") }} />
    ${value === null ? error ? html`<${Failed} error=${error} retry=${reload} />` : html`<${Loading} rows=${6} />`
      : html`<${Form} key=${from} defaults=${value.defaults} earlier=${value.earlier} />`}
  </div>`;
}
