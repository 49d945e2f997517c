// What a new bot is asked for, checked while it is typed. The daemon checks it all again, and knows more.

import { t } from "../strings.js";

/**
 * @typedef {{name: string, value: string, secret: boolean}} Variable
 * @typedef {{id: string, name: string, image: string, model: string, memory: string, cpus: string, pids: string, variables: Variable[], config: string}} Draft
 */

export const ID = /^[a-z0-9][a-z0-9-]{0,31}$/;
const HOST = "(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]{1,5})?/)";
const PART = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const REFERENCE = new RegExp(`^${HOST}?${PART}(?:/${PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$`);
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const SECRET = /(?:api_?key|token|secret|passw(?:or)?d|private_?key|credential)s?$/i;
const SECRET_REFERENCE = /^\$\{[A-Z_][A-Z0-9_]*\}$/;
const OWN_KEYS = ["mode", "port", "bind", "auth", "tls"];

export const MIB = 1024 * 1024;
const LEAST_MIB = 64;
const LEAST_PIDS = 32;

/** Whether what has such a name is a secret by all appearances. @param {string} name */
export const looksSecret = (name) => SECRET.test(name) || name.toUpperCase().endsWith("_KEY");

/** Whether an image is named as one can be pulled. @param {string} image */
export const isReference = (image) => image.length <= 512 && REFERENCE.test(image) && !/^[0-9a-f]{64}$/.test(image);

/** A number as people type it; a comma is a point. @param {string} text */
export const number = (text) => Number(text.trim().replace(",", "."));

/** @param {string} text @param {number} least */
const atLeast = (text, least) => text.trim() === "" || number(text) >= least;

/** Where a secret stands in the open in a configuration; null where none does. @param {unknown} value @param {string} key @returns {string | null} */
function openSecret(value, key) {
  if (typeof value === "string") return looksSecret(key.split(".").at(-1) ?? "") && !SECRET_REFERENCE.test(value) ? key : null;
  if (Array.isArray(value)) return value.map((one) => openSecret(one, key)).find((one) => one !== null) ?? null;
  if (value === null || typeof value !== "object") return null;
  return Object.entries(value).map(([name, one]) => openSecret(one, key ? `${key}.${name}` : name)).find((one) => one !== null) ?? null;
}

/** What is wrong with a configuration; empty where nothing is. @param {string} text */
function configTrouble(text) {
  if (!text.trim()) return "";
  let config;
  try {
    config = JSON.parse(text);
  } catch (error) {
    return t("make.bad.json", { detail: error instanceof Error ? error.message : String(error) });
  }
  if (config === null || typeof config !== "object" || Array.isArray(config)) return t("make.bad.object");
  const gateway = config.gateway ?? {};
  const own = OWN_KEYS.find((key) => Object.hasOwn(gateway, key));
  if (own) return t("make.bad.own", { key: `gateway.${own}` });
  const secret = openSecret(config, "");
  return secret === null ? "" : t("make.bad.configSecret", { key: secret });
}

/** What is wrong with one variable; empty where nothing is. @param {Variable} one @param {Variable[]} all */
export function variableTrouble(one, all) {
  if (!one.name && !one.value) return "";
  if (!VARIABLE.test(one.name)) return t("make.bad.variable");
  if (all.filter(({ name }) => name === one.name).length > 1) return t("make.bad.twice", { name: one.name });
  if (one.secret && !one.value) return t("make.bad.noSecret");
  if (!one.secret && looksSecret(one.name)) return t("make.bad.secret");
  return "";
}

/**
 * What is wrong, by field; nothing where nothing is. What is left empty has a default, but for the id.
 *
 * @param {Draft} draft @param {ReadonlySet<string>} taken ids of bots @returns {Partial<Record<keyof Draft, string>>}
 */
export function troubles(draft, taken) {
  /** @type {Partial<Record<keyof Draft, string>>} */
  const found = {};
  if (!ID.test(draft.id)) found.id = t("make.bad.id");
  else if (taken.has(draft.id)) found.id = t("make.bad.taken", { id: draft.id });
  if (draft.image && !isReference(draft.image)) found.image = t("make.bad.image");
  if (!atLeast(draft.memory, LEAST_MIB)) found.memory = t("make.bad.memory", { n: LEAST_MIB });
  if (!atLeast(draft.cpus, 0.01)) found.cpus = t("make.bad.cpus");
  if (!atLeast(draft.pids, LEAST_PIDS) || !Number.isInteger(number(draft.pids || "0"))) found.pids = t("make.bad.pids", { n: LEAST_PIDS });
  const bad = draft.variables.find((one) => variableTrouble(one, draft.variables));
  if (bad) found.variables = variableTrouble(bad, draft.variables);
  const config = configTrouble(draft.config);
  if (config) found.config = config;
  return found;
}

/** The body of `POST /api/bots`; what has its default is left out. Pure. @param {Draft} draft */
export function requestOf(draft) {
  const typed = (/** @type {string} */ text) => text.trim() || undefined;
  const limits = {
    memoryBytes: draft.memory.trim() ? Math.round(number(draft.memory) * MIB) : undefined,
    cpus: draft.cpus.trim() ? number(draft.cpus) : undefined,
    pids: draft.pids.trim() ? number(draft.pids) : undefined,
  };
  const variables = draft.variables.filter((one) => one.name);
  const named = (/** @type {boolean} */ secret) => Object.fromEntries(variables.filter((one) => one.secret === secret).map((one) => [one.name, one.value]));
  return {
    id: draft.id, name: typed(draft.name), image: typed(draft.image), model: typed(draft.model), limits,
    environment: named(false), secretEnvironment: named(true), config: draft.config.trim() ? JSON.parse(draft.config) : {},
  };
}

/** What to begin with: nothing, or what an earlier request had. Pure. @param {Record<string, any>} [request] @returns {Draft} */
export function draftOf(request = {}) {
  const { limits = {}, environment = {}, secretEnvironment = {}, config } = request;
  const text = (/** @type {unknown} */ value) => (value === undefined || value === null ? "" : String(value));
  return {
    id: text(request.id), name: text(request.name), image: text(request.image), model: text(request.model),
    memory: text(limits.memoryBytes && limits.memoryBytes / MIB), cpus: text(limits.cpus), pids: text(limits.pids),
    variables: [
      ...Object.entries(environment).map(([name, value]) => ({ name, value: String(value), secret: false })),
      ...Object.entries(secretEnvironment).map(([name, value]) => ({ name, value: String(value), secret: true })),
    ],
    config: config && Object.keys(config).length ? JSON.stringify(config, null, 2) : "",
  };
}
