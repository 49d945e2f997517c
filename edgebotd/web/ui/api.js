// The HTTP API: one function, one kind of error.

import { signal } from "./lib.js";
import { t } from "./strings.js";

/** Set as soon as the daemon says that this session is worth nothing any more; the page then asks to log in. */
export const signedOut = signal(false);

/** How often something was forbidden: rights may have changed since the page asked for them. */
export const forbidden = signal(0);

/** What the daemon refused (RFC 9457), or that it could not be reached (`code` is `unreachable`). */
export class Problem extends Error {
  /** @param {number} status @param {string} code @param {string} detail @param {Record<string, any>} [extra] */
  constructor(status, code, detail, extra = {}) {
    super(detail);
    this.status = status;
    this.code = code;
    this.extra = extra;
  }

  /** Whether the same request may succeed later without anybody doing something. */
  get passing() {
    return this.code === "unreachable" || this.status === 503 || this.status === 502 || this.status === 504;
  }
}

/**
 * Call the API and return its answer.
 *
 * @param {"GET" | "POST" | "PUT" | "PATCH" | "DELETE"} method
 * @param {string} path
 * @param {unknown} [body] sent as JSON
 * @param {{signal?: AbortSignal, keepalive?: boolean, blob?: boolean}} [options] `blob`: the answer is bytes, not JSON
 * @returns {Promise<any>} the JSON, null where there is none; or a Blob
 */
export async function call(method, path, body, { blob = false, ...options } = {}) {
  let response;
  let text;
  const ask = () =>
    fetch(path, {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      ...options,
    });
  // Each change of the network breaks what is under way off, though the next request gets through; on the daemon's own
  // machine the start of a container is one.
  const askTwice = () => ask().catch((error) => (options.signal?.aborted || !navigator.onLine ? Promise.reject(error) : ask()));
  try {
    response = await (method === "GET" ? askTwice() : ask());
    if (blob && response.ok) return await response.blob();
    text = await response.text();
  } catch (error) {
    // Whoever gave up wants to know; a time that ran out is as good as no answer.
    if (options.signal?.aborted && options.signal.reason?.name !== "TimeoutError") throw error;
    throw new Problem(0, "unreachable", t("error.unreachable"));
  }
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    // A proxy's own page: the status says enough.
  }
  if (response.ok) return answer;
  // Over HTTP/2 a status has no words of its own.
  const { code = "error", detail = t("error.status", { status: response.status }), ...extra } = answer ?? {};
  if (response.status === 401 && code === "unauthenticated") signedOut.value = true;
  if (response.status === 403) forbidden.value += 1;
  throw new Problem(response.status, code, detail, extra);
}

/** Return a path of the API with its values escaped: path`/api/bots/${id}`. */
export function path(/** @type {TemplateStringsArray} */ strings, /** @type {(string | number)[]} */ ...values) {
  return String.raw({ raw: strings }, ...values.map((value) => encodeURIComponent(value)));
}

/** Return a query from what is set: query({ before, limit: 50 }) is "?limit=50" while `before` is null. */
export function query(/** @type {Record<string, string | number | boolean | string[] | null | undefined>} */ values) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined) search.append(name, String(one));
    }
  }
  const text = search.toString();
  return text ? `?${text}` : "";
}
