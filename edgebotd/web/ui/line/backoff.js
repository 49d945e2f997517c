// How long to wait before the next attempt: longer each time, and never in step with others.

const FIRST_MS = 1000;
const LONGEST_MS = 30_000;

/** @param {number} failures how many attempts have failed, at least one */
export function backoff(failures) {
  const whole = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 10));
  return whole * (0.5 + Math.random() / 2);
}
