// Which page is shown: the path, as a signal; links are ordinary ones.

import { computed, signal } from "./lib.js";

/** The path and query shown now. */
export const place = signal(location.pathname + location.search);

// Cut rather than parsed as an address: a path that begins with two slashes would name another host.
const parted = computed(() => /** @type {[string, string]} */ (place.value.split(/\?(.*)/s, 2)));

/** Path alone, without its last slash. */
export const route = computed(() => parted.value[0].replace(/(.)\/$/, "$1"));

/** Values of the query. */
export const search = computed(() => new URLSearchParams(parted.value[1] ?? ""));

/**
 * Show another page of ours.
 *
 * @param {string} to path and query
 * @param {{replace?: boolean}} [options]
 */
export function navigate(to, { replace = false } = {}) {
  const url = new URL(to, location.origin);
  if (url.origin !== location.origin) return;
  const next = url.pathname + url.search;
  if (replace) history.replaceState(null, "", next);
  else if (next !== place.value) history.pushState(null, "", next);
  place.value = next;
}

/** A part of a path as it was meant; null where its escapes are none. @param {string} part */
export function unescaped(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

/**
 * Match a path: match("/bots/:id", "/bots/a") is `{ id: "a" }`.
 *
 * @param {string} pattern @param {string} path
 * @returns {Record<string, string> | null}
 */
export function match(pattern, path) {
  const wanted = pattern.split("/");
  const given = path.split("/");
  if (wanted.length !== given.length) return null;
  /** @type {Record<string, string>} */
  const found = {};
  for (const [index, part] of wanted.entries()) {
    if (part.startsWith(":")) {
      const value = unescaped(given[index]);
      if (value === null) return null;
      found[part.slice(1)] = value;
    } else if (part !== given[index]) return null;
  }
  return found;
}

/** Follow clicks on our own links without loading a document, and the browser's own back and forward. */
export function startRouter() {
  addEventListener("popstate", () => (place.value = location.pathname + location.search));
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname.startsWith("/api/") || link.pathname.startsWith("/ui/")) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}
