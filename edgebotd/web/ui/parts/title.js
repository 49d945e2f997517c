// What the tab is called while the frame, which names it by its page, is not there or covered.

import { useLayoutEffect } from "../lib.js";

/** @param {string} words */
export function useTitle(words) {
  useLayoutEffect(() => {
    const before = document.title;
    document.title = `${words} · edgebotd`;
    return () => void (document.title = before);
  }, [words]);
}
