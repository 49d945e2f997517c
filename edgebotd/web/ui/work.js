// Work on bots' containers: what one operation is, how far its steps are, and its log, read and kept true.

import { call, path, Problem } from "./api.js";
import { whenBack } from "./back.js";
import { useCallback, useEffect, useRef, useState } from "./lib.js";
import { useSocketEvent } from "./socket.js";

/**
 * @typedef {"running" | "undoing" | "succeeded" | "failed" | "cancelled"} WorkState
 * @typedef {{at: number, step: string, text: string}} Line
 * @typedef {{id: string, botId: string, kind: string, state: WorkState, step: string, steps: string[], reason?: string | null,
 *   userId?: string | null, startedAt: number, endedAt?: number | null, request: Record<string, any>}} Operation
 * @typedef {Operation & {lines: Line[]}} OperationDetail `GET /api/operations/{id}`
 * @typedef {"waiting" | "running" | "done" | "failed" | "cancelled" | "undoing" | "skipped"} StepState
 * @typedef {{name: string, state: StepState, lines: Line[], beganAt: number | null, endedAt: number | null}} StepView
 */

/** Between two looks at an operation while it tells much. */
const LOOK_MS = 700;
/** Of one step; older ones are in the log by the commands. */
const MOST_LINES = 400;
const PROGRESS = /^[\d.]+(?: of [\d.]+)? MiB, \d+ of \d+ layers$/;

/** What the daemon calls the reason of one that was cancelled, which its state says already. */
const CANCELLED = "It was cancelled.";

/** Why an operation has failed, where that is not said by its state. @param {Operation} one */
export const reasonOf = (one) => (one.reason === CANCELLED ? null : (one.reason ?? null));

/** Whether an operation goes on. @param {Operation} one */
export const goesOn = (one) => one.endedAt === null || one.endedAt === undefined;

/** @param {Line} line */
const same = (line) => `${line.at} ${line.step} ${line.text}`;

/** The lines that were read, with those that the channel told since. Pure. @param {Line[]} read @param {Line[]} told */
export function merged(read, told) {
  const known = new Set(read.map(same));
  return [...read, ...told.filter((line) => !known.has(same(line)))];
}

/** Lines without those about how far a pull is, but for the newest that nothing has followed. Pure. @param {Line[]} lines */
export function squeezed(lines) {
  return lines.filter((line, index) => !PROGRESS.test(line.text) || index === lines.length - 1).slice(-MOST_LINES);
}

/** How one step is, from where its operation is. @param {Operation} one @param {number} at the place of the step that runs @param {number} index @returns {StepState} */
function stateOf(one, at, index) {
  if (one.state === "succeeded" || index < at) return "done";
  if (index > at) return goesOn(one) && one.state === "running" ? "waiting" : "skipped";
  if (one.state === "running") return "running";
  return one.state;
}

/** The steps of an operation, each with its lines and times. Pure. @param {OperationDetail} one @returns {StepView[]} */
export function stepsOf(one) {
  const at = one.steps.indexOf(one.step);
  return one.steps.map((name, index) => {
    const lines = one.lines.filter((line) => line.step === name);
    const next = one.lines.find((line) => one.steps.indexOf(line.step) > index);
    const state = stateOf(one, at, index);
    const running = state === "running" || state === "undoing";
    const endedAt = running ? null : (next?.at ?? one.endedAt ?? null);
    // That a step begins is what its place in the list says.
    return { name, state, lines: squeezed(lines.filter((line) => line.text !== "begins")), beganAt: lines[0]?.at ?? null, endedAt };
  });
}

/** The pull that an operation waits for, if the engine tells of it. Pure. @param {Operation} one @param {import("./docker.js").Docker | null} docker */
export function pullOf(one, docker) {
  if (one.step !== "pull" || one.state !== "running" || docker === null) return null;
  const { image } = one.request;
  // A reference without a tag means the newest one; work on a bot's present image has none in its request.
  const bare = typeof image === "string" && !/[:@][^/]*$/.test(image) ? `${image}:latest` : image;
  return docker.pulls.find((pull) => pull.image === bare) ?? (image === undefined && docker.pulls.length === 1 ? docker.pulls[0] : null);
}

/** Where an operation is looked at. @param {string} id */
export const placeOf = (id) => `/operations/${encodeURIComponent(id)}`;

/** The id of what has begun, whichever route has answered. @param {{id?: string, operationId?: string}} answer */
export const idOf = (answer) => String(answer.id ?? answer.operationId);

/**
 * An operation, kept true by the channel: lines come as they are told, how it is is looked at after them.
 *
 * @param {string} id
 * @returns {{value: OperationDetail | null, error: Problem | null, reload: () => void}}
 */
export function useOperation(id) {
  const [value, setValue] = useState(/** @type {OperationDetail | null} */ (null));
  const [error, setError] = useState(/** @type {Problem | null} */ (null));
  const [told, setTold] = useState(/** @type {Line[]} */ ([]));
  const timer = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  const turn = useRef(0);

  const reload = useCallback(async () => {
    clearTimeout(timer.current);
    timer.current = undefined;
    const mine = (turn.current += 1);
    try {
      const read = await call("GET", path`/api/operations/${id}`);
      // An older answer may come after a newer one.
      if (mine !== turn.current) return;
      setValue(read);
      setError(null);
      setTold((lines) => lines.slice(-MOST_LINES));
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      if (mine === turn.current) setError(failed);
    }
  }, [id]);
  useEffect(() => {
    reload();
    return () => {
      clearTimeout(timer.current);
      turn.current += 1;
    };
  }, [reload]);
  useSocketEvent("gap", reload);
  useEffect(() => (error?.passing || error?.status === 401 ? whenBack(reload) : undefined), [error]);
  useSocketEvent("provision-log", ({ provisionId, at, step, text }) => {
    if (provisionId !== id) return;
    setTold((lines) => [...lines, { at, step, text }]);
    timer.current ??= setTimeout(reload, LOOK_MS);
  });
  useSocketEvent("provision-done", ({ provisionId }) => provisionId === id && reload());
  const whole = value && { ...value, lines: merged(value.lines, told), step: stepNow(value, told) };
  return { value: whole, error, reload };
}

/** The step that runs: what the channel tells is newer than what was read. @param {OperationDetail} read @param {Line[]} told */
function stepNow(read, told) {
  const last = told.at(-1);
  const known = read.lines.at(-1);
  const newer = last !== undefined && read.state === "running" && (known === undefined || last.at >= known.at) && read.steps.includes(last.step);
  return newer ? last.step : read.step;
}
