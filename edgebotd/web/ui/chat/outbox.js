// What is on its way to the daemon. Each message is stored with its own idempotency key before anything is sent, so that
// it survives a reload, leaves in its order when the line is back, and arrives once, whichever tab sends it.

import { Problem, signedOut } from "../api.js";
import { effect, signal } from "../lib.js";
import { socket } from "../socket.js";
import { owner } from "./owner.js";
import { dropFiles, keepFiles, keptFiles, keys, read, write } from "./stored.js";
import { note } from "./timeline.js";
import { sendTurn } from "./transport.js";

const PREFIX = "edgebotd.outbox.";
const GROUPS = "edgebotd.outbox-made.";
const LOCK = "edgebotd.outbox";
const RETRY_MS = [1000, 2000, 5000, 10_000, 30_000];
// The daemon knows a key for 24 hours; what was tried longer ago may have arrived, and nobody could tell.
const KEY_LIVES_MS = 20 * 3_600_000;

/**
 * @typedef {{id: string, owner: string, order: number, botId: string, conversationId: string | null, group: string | null, text: string,
 *   files: {name: string, mediaType: string, size: number}[], at: number, triedAt: number | null, refused: string | null, code: string | null}} Entry
 *   `group`: a conversation that does not exist yet, begun by the first of its messages
 */

/** All entries of this user, oldest first. */
export const outbox = signal(/** @type {Entry[]} */ ([]));

/** What the conversations that were begun here have become: group -> conversation. */
export const begun = signal(/** @type {Record<string, string>} */ ({}));

/** A key that nobody has had. Not `crypto.randomUUID`, which plain HTTP lacks. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(15))].map((byte) => byte.toString(36).padStart(2, "0")).join("");
}

const keyOf = (/** @type {Entry} */ entry) => `${PREFIX}${entry.owner}.${entry.id}`;

/** Read again what is stored: another tab may have written. */
function refresh() {
  const mine = `${PREFIX}${owner()}.`;
  const found = /** @type {Entry[]} */ (keys(mine).map(read).filter((entry) => entry !== null));
  outbox.value = found.sort((one, other) => one.order - other.order || (one.id < other.id ? -1 : 1));
  begun.value = read(GROUPS + owner()) ?? {};
}

/** @typedef {{botId: string, conversationId: string | null, group: string | null, text: string, files: File[], id?: string}} Message */

/** Files that are being kept, which take longer than words. @type {Promise<unknown>} */
let keeping = Promise.resolve();
let kept = 0;

/**
 * Put a message into the outbox, behind those whose files are still being kept. Throws an `Error` in words where this
 * browser cannot keep it.
 *
 * @param {Message} message `id`: the idempotency key under which it was tried already
 */
export function post(message) {
  if (kept === 0 && message.files.length === 0) return put(message);
  kept += 1;
  const turn = keeping.then(() => put(message)).finally(() => (kept -= 1));
  keeping = turn.catch(() => {});
  return turn;
}

/** @param {Message} message */
async function put({ botId, conversationId, group, text, files, id = newKey() }) {
  const last = outbox.value.at(-1)?.order ?? 0;
  /** @type {Entry} */
  const entry = {
    id, owner: owner(), order: Math.max(Date.now(), last + 1), botId, conversationId, group, text,
    files: files.map((file) => ({ name: file.name, mediaType: mediaType(file), size: file.size })),
    at: Date.now(), triedAt: null, refused: null, code: null,
  };
  if (files.length > 0) await keepFiles(entry.id, files);
  if (!write(keyOf(entry), entry)) throw new Error("full");
  refresh();
  flush();
}

/** @param {File} file */
export const mediaType = (file) => (/^[a-z0-9.+-]+\/[a-z0-9.+-]+$/i.test(file.type) ? file.type : "application/octet-stream");

/** Take one out again. @param {Entry} entry */
export async function withdraw(entry) {
  write(keyOf(entry), null);
  refresh();
  if (entry.files.length > 0) await dropFiles(entry.id).catch(() => {});
}

/** Try a refused one again, as a new message. @param {Entry} entry */
export async function again(entry) {
  const id = newKey();
  if (entry.files.length > 0) {
    const files = await keptFiles(entry.id).catch(() => undefined);
    if (files) await keepFiles(id, files);
  }
  write(keyOf({ ...entry, id }), { ...entry, id, refused: null, code: null, triedAt: null });
  await withdraw(entry);
  flush();
}

/** @param {Blob} blob @returns {Promise<string>} */
function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ""));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

let flushing = false;
let failures = 0;
let timer = 0;

/** Send what waits, in its order. */
export async function flush() {
  clearTimeout(timer);
  if (flushing || owner() === "" || signedOut.value) return;
  flushing = true;
  try {
    // Without locks (plain HTTP to another machine) two tabs may send the same; the key makes it one message.
    if (navigator.locks) await navigator.locks.request(LOCK, drain);
    else await drain();
    failures = 0;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    timer = setTimeout(flush, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]);
    failures += 1;
  } finally {
    flushing = false;
  }
  if (failures === 0 && next() !== undefined) flush();
}

/** @returns {Entry | undefined} */
const next = () => outbox.value.find((entry) => entry.refused === null);

async function drain() {
  for (;;) {
    refresh();
    const entry = next();
    if (entry === undefined) return;
    await sendOne(entry);
  }
}

/** @param {Entry} entry */
async function sendOne(entry) {
  const conversationId = entry.conversationId ?? (entry.group === null ? null : begun.value[entry.group] ?? null);
  if (entry.triedAt !== null && Date.now() - entry.triedAt > KEY_LIVES_MS) return refuse(entry, "too_old", "");
  // Written before it leaves: what is sent again must be the very same.
  const tried = { ...entry, conversationId, triedAt: entry.triedAt ?? Date.now() };
  write(keyOf(entry), tried);
  let attachments;
  try {
    const blobs = entry.files.length > 0 ? ((await keptFiles(entry.id)) ?? []) : [];
    if (blobs.length < entry.files.length) return refuse(entry, "files_lost", "");
    attachments = await Promise.all(blobs.map(async (blob, index) => ({ name: entry.files[index].name, mediaType: entry.files[index].mediaType, data: await base64(blob) })));
  } catch {
    return refuse(entry, "files_lost", "");
  }
  let answer;
  try {
    answer = await sendTurn(entry.botId, { conversationId, text: entry.text, attachments, idempotencyKey: entry.id });
  } catch (error) {
    if (!(error instanceof Problem) || error.passing || error.status === 429 || error.status === 401) throw error;
    return refuse(tried, error.code, error.message);
  }
  if (entry.group !== null && conversationId === null) {
    // The newest twenty are more than can still have messages waiting.
    write(GROUPS + entry.owner, Object.fromEntries([...Object.entries(begun.value), [entry.group, answer.conversationId]].slice(-20)));
  }
  note({
    id: answer.messageId, botId: entry.botId, conversationId: answer.conversationId, runId: answer.runId, role: "user",
    parts: entry.text ? [{ type: "text", text: entry.text }] : [], state: "pending", source: "edgebotd", userId: entry.owner, createdAt: entry.at,
  });
  await withdraw(entry);
}

/** @param {Entry} entry @param {string} code @param {string} detail */
function refuse(entry, code, detail) {
  write(keyOf(entry), { ...entry, refused: detail, code });
  refresh();
}

addEventListener("storage", (event) => {
  if (event.key === null || event.key.startsWith(PREFIX) || event.key.startsWith(GROUPS)) refresh();
});
addEventListener("online", () => flush());

let wasLive = false;
effect(() => {
  const live = socket.state.value.phase === "live" || socket.state.value.phase === "polling";
  if (live && !wasLive) {
    failures = 0;
    queueMicrotask(() => {
      refresh();
      flush();
    });
  }
  wasLive = live;
});
