// The line is back: what failed meanwhile is asked for again, without anybody who presses a button.

import { effect } from "./lib.js";
import { socket } from "./socket.js";

/** @type {Set<() => void>} */
const handlers = new Set();
let was = false;

effect(() => {
  const { phase } = socket.state.value;
  const is = phase === "live" || phase === "polling";
  // Later, as a handler may look at the same state.
  if (is && !was) queueMicrotask(() => [...handlers].forEach((handler) => handler()));
  was = is;
});

/** Call a handler whenever the line is back. @param {() => void} handler @returns {() => void} takes it off again */
export function whenBack(handler) {
  handlers.add(handler);
  return () => void handlers.delete(handler);
}
