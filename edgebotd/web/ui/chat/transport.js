// One message to the daemon: by HTTP, and by the bot's WebSocket only where something on the way does not let that pass.

import { call, path, Problem } from "../api.js";
import { socket } from "../socket.js";

const SECONDS = 20;
// What proxies answer to a POST that they do not want; the daemon's own refusals have a code.
const REFUSED_ON_THE_WAY = new Set([403, 405, 413, 501]);

/** @param {unknown} error */
function mayPassOtherwise(error) {
  if (!(error instanceof Problem)) return false;
  if (error.code === "unreachable") return socket.state.value.phase === "live";
  return error.code === "error" && REFUSED_ON_THE_WAY.has(error.status);
}

/**
 * @param {string} botId @param {Record<string, unknown>} body
 * @returns {Promise<import("./types.js").SendAnswer>}
 */
export async function sendTurn(botId, body) {
  try {
    return await call("POST", path`/api/bots/${botId}/chat/send`, body);
  } catch (error) {
    if (!mayPassOtherwise(error)) throw error;
    return await bySocket(botId, body, /** @type {Problem} */ (error));
  }
}

/**
 * @param {string} botId @param {Record<string, unknown>} body @param {Problem} before what HTTP said
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
