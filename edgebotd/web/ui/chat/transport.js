// One message to the daemon: by HTTP, and by the bot's WebSocket only where something on the way does not let that pass.

import { call, path, Problem } from "../api.js";
import { socket } from "../socket.js";

const SECONDS = 20;
// As long as the daemon itself waits for a body; a network that swallows packets must not hold up what else waits.
const HTTP_SECONDS = 30;
const SLOWEST_CHARACTERS = 50_000;
// What proxies answer to a POST that they do not want; the daemon's own refusals have a code.
const REFUSED_ON_THE_WAY = new Set([403, 405, 413, 501]);

/** @typedef {{conversationId: string | null, text: string, attachments: {data: string}[], idempotencyKey: string}} Turn */

/** @param {Turn} body */
const charactersOf = ({ text, attachments }) => attachments.reduce((sum, { data }) => sum + data.length, text.length);

/** @param {unknown} error */
function mayPassOtherwise(error) {
  if (!(error instanceof Problem)) return false;
  if (error.code === "unreachable") return socket.state.value.phase === "live";
  return error.code === "error" && REFUSED_ON_THE_WAY.has(error.status);
}

/**
 * @param {string} botId @param {Turn} body
 * @returns {Promise<import("./types.js").SendAnswer>}
 */
export async function sendTurn(botId, body) {
  try {
    const seconds = HTTP_SECONDS + charactersOf(body) / SLOWEST_CHARACTERS;
    return await call("POST", path`/api/bots/${botId}/chat/send`, body, { signal: AbortSignal.timeout(seconds * 1000) });
  } catch (error) {
    if (!mayPassOtherwise(error)) throw error;
    return await bySocket(botId, body, /** @type {Problem} */ (error));
  }
}

/**
 * @param {string} botId @param {Turn} body @param {Problem} before what HTTP said
 * @returns {Promise<import("./types.js").SendAnswer>}
 */
function bySocket(botId, body, before) {
  return new Promise((resolve, reject) => {
    const url = new URL(path`/ws/bots/${botId}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const line = new WebSocket(url);
    const timer = setTimeout(() => line.close(), SECONDS * 1000);
    line.onopen = () => line.send(JSON.stringify({ id: 1, method: "chat.send", params: body }));
    line.onmessage = (event) => {
      const answer = JSON.parse(event.data);
      if (answer.ok) resolve(answer.result);
      else reject(new Problem(answer.error.code === "busy" ? 503 : 400, answer.error.code, answer.error.message));
      line.close();
    };
    // Neither way: what HTTP said is what a person can do something about.
    line.onclose = () => {
      clearTimeout(timer);
      reject(before);
    };
  });
}
