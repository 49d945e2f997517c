// The runs that are going on, of all bots: their state, and what they have said so far. Painted once a frame.

import { batch, signal } from "../lib.js";
import { socket } from "../socket.js";
import { Blocks } from "./blocks.js";
import { counts } from "./counts.js";
import { inFrame } from "./frame.js";

const TERMINAL = new Set(["finished", "aborted", "failed", "interrupted"]);

/**
 * @typedef {{kind: "text", start: number, blocks: Blocks} | {kind: "tool", start: number, name: string, running: boolean}} Segment
 */

export class Run {
  /** Moves when something of the run is to be painted. */
  version = signal(0);
  state = "started";
  /** @type {string | null} */
  detail = null;
  over = false;
  /** Whether the snapshot that is coming has not named it yet. */
  stale = false;
  /** Whether it ended while nothing was heard: only the history tells how. */
  lost = false;
  length = 0;
  since = Date.now();
  thinking = false;
  /** Text and tools in their order. @type {Segment[]} */
  segments = [];

  /** @param {string} runId @param {string} botId @param {string} conversationId */
  constructor(runId, botId, conversationId) {
    this.runId = runId;
    this.botId = botId;
    this.conversationId = conversationId;
  }

  get text() {
    return this.segments.map((segment) => (segment.kind === "text" ? segment.blocks.text : "")).join("");
  }

  /** @param {number} offset @param {string} text */
  append(offset, text) {
    if (offset < this.length) {
      // A snapshot tells again what is here: then nothing is taken away, and the tools in between stay.
      const known = this.text.slice(offset);
      if (text.startsWith(known)) [offset, text] = [this.length, text.slice(known.length)];
      else this.#cut(offset);
      if (text === "") return;
    }
    this.endTool();
    let last = this.segments.at(-1);
    if (last?.kind !== "text") this.segments.push((last = { kind: "text", start: this.length, blocks: new Blocks() }));
    last.blocks.append(text);
    this.length += text.length;
  }

  /** @param {string} name */
  beginTool(name) {
    this.endTool();
    this.segments.push({ kind: "tool", start: this.length, name, running: true });
  }

  endTool() {
    const last = this.segments.at(-1);
    if (last?.kind === "tool") last.running = false;
  }

  /** @param {number} offset */
  #cut(offset) {
    while (this.segments.length > 0) {
      const last = this.segments[this.segments.length - 1];
      if (last.kind === "text" && last.start < offset) {
        last.blocks.cut(offset - last.start);
        break;
      }
      // A tool that was called before the text that goes stays: it did run.
      if (last.kind === "tool" && last.start <= offset) break;
      this.segments.pop();
    }
    this.length = offset;
  }
}

/** @type {Map<string, Run>} */
const runs = new Map();

/** Moves when a run begins, changes its state or is forgotten. */
export const runsVersion = signal(0);

/** @type {Set<Run>} */
const dirty = new Set();

function paint() {
  if (dirty.size === 0) return;
  counts.painted += 1;
  batch(() => {
    for (const run of dirty) run.version.value += 1;
  });
  dirty.clear();
}

/** @param {Run} run */
function touch(run) {
  dirty.add(run);
  inFrame(paint);
}

/** @param {{botId: string, conversationId: string, runId: string}} event */
function runOf({ runId, botId, conversationId }) {
  let run = runs.get(runId);
  if (run === undefined) {
    runs.set(runId, (run = new Run(runId, botId, conversationId)));
    runsVersion.value += 1;
  }
  run.stale = run.lost = false;
  return run;
}

/** The runs of a conversation, in the order in which they began. @param {string} conversationId */
export function runsIn(conversationId) {
  return [...runs.values()].filter((run) => run.conversationId === conversationId);
}

/** @param {string} runId */
export const runById = (runId) => runs.get(runId);

/** Forget a run: its message is there, or nothing will come of it. @param {string} runId */
export function forgetRun(runId) {
  const run = runs.get(runId);
  if (run === undefined) return;
  runs.delete(runId);
  dirty.delete(run);
  runsVersion.value += 1;
}

/** The history of a conversation has been read: it tells all of those that were lost. @param {string} conversationId */
export function forgetLost(conversationId) {
  for (const run of runsIn(conversationId)) if (run.lost) forgetRun(run.runId);
}

/** Say at once what the daemon will say soon. @param {string} runId @param {string} state */
export function setRunState(runId, state) {
  const run = runs.get(runId);
  if (run === undefined || run.over) return;
  run.state = state;
  runsVersion.value += 1;
  touch(run);
}

socket.on("chat-status", (event) => {
  if (TERMINAL.has(event.state)) {
    const run = runs.get(event.runId);
    if (run === undefined) return;
    run.over = true;
    run.state = event.state;
    run.detail = event.detail ?? null;
    run.endTool();
    // What was said stays until its message comes.
    if (run.length === 0) forgetRun(run.runId);
    else {
      runsVersion.value += 1;
      touch(run);
    }
    return;
  }
  const run = runOf(event);
  // "Stopping" was said here first; a state from before that does not take it back.
  if (run.state !== "stopping") run.state = event.state;
  run.detail = event.detail ?? null;
  runsVersion.value += 1;
  touch(run);
});

socket.on("chat-delta", (event) => {
  counts.deltas += 1;
  const run = runOf(event);
  if (run.state === "started" || run.state === "queued") run.state = "streaming";
  run.thinking = false;
  run.append(event.offset, event.text);
  touch(run);
});

socket.on("bot-activity", (event) => {
  const run = event.runId ? runs.get(event.runId) : undefined;
  if (run === undefined || run.over) return;
  run.thinking = event.activity === "thinking";
  if (event.activity === "tool") run.beginTool(event.detail ?? "");
  else run.endTool();
  touch(run);
});

socket.on("chat-message", ({ message }) => {
  if (message.role === "assistant") forgetRun(message.runId);
  // A queued message that was cancelled has no reply.
  else if (message.state !== "pending" && message.state !== "final") forgetRun(message.runId);
});

// A hello that promises no replay is followed by a snapshot, and that by `gap`: a run that it did not name has ended. What
// it said stays in sight until the history is read again.
socket.on("hello", ({ verdict }) => {
  if (verdict !== "exact") for (const run of runs.values()) run.stale = true;
});
socket.on("gap", () => {
  for (const run of runs.values()) {
    if (!run.stale) continue;
    run.lost = run.over = true;
    run.endTool();
    touch(run);
  }
  runsVersion.value += 1;
});
