// Work that is worth doing once a frame, however often it is asked for.

/** @type {Set<() => void>} */
const due = new Set();

function run() {
  const now = [...due];
  due.clear();
  for (const work of now) work();
}

/** Call a function in the next frame, once. In a tab that nobody sees this waits until somebody does. @param {() => void} work */
export function inFrame(work) {
  if (due.size === 0) requestAnimationFrame(run);
  due.add(work);
}
