// An image from elsewhere: nothing is asked for until somebody wants to see it, and then by the daemon alone.

import { call, path, Problem } from "../api.js";
import { me } from "../house.js";
import { t } from "../strings.js";

/** Images that stay when their place is drawn anew, as it is while a reply goes on and after one has scrolled away. */
const KEPT = 20;

/** @typedef {{address: string, words: string}} Wanted `words` stand for the image where it is not seen */

/** @type {Map<string, string>} address -> blob, the newest last */
const fetched = new Map();
/** @type {Set<string>} addresses that are being fetched */
const fetching = new Set();
/** @type {WeakMap<Element, Wanted>} */
const places = new WeakMap();

/**
 * The place of an image: a button that shows it, or a link where the daemon does not fetch it.
 *
 * @param {Wanted} wanted
 * @returns {HTMLElement}
 */
export function remoteImage(wanted) {
  const place = document.createElement("span");
  place.className = "remote-image";
  places.set(place, wanted);
  if (me.value?.remoteImages && wanted.address.startsWith("https:")) draw(place, wanted);
  else place.append(link(wanted, t("chat.image.openFrom", { host: hostOf(wanted) }), "button"), ...said(wanted));
  return place;
}

/** @param {Wanted} wanted */
const hostOf = ({ address }) => new URL(address).host;

/** @param {Wanted} wanted */
const said = ({ words }) => (words ? [" ", words] : []);

/** @param {Wanted} wanted @param {string} text @param {string} className */
function link({ address }, text, className) {
  const made = document.createElement("a");
  Object.assign(made, { href: address, target: "_blank", rel: "noopener noreferrer", textContent: text, className });
  return made;
}

/** @param {Element} place @param {Wanted} wanted @param {string} [trouble] why it did not come */
function draw(place, wanted, trouble = "") {
  const blob = fetched.get(wanted.address);
  // Who pressed the button goes on from there.
  const focused = place.contains(document.activeElement);
  if (blob !== undefined) place.replaceChildren(...shown(wanted, blob));
  else place.replaceChildren(...offered(place, wanted, trouble));
  if (focused) /** @type {HTMLElement | null} */ (place.querySelector("button, a"))?.focus({ preventScroll: true });
}

/** @param {Wanted} wanted @param {string} blob */
function shown(wanted, blob) {
  const image = document.createElement("img");
  image.src = blob;
  image.alt = wanted.words || t("chat.image.from", { host: hostOf(wanted) });
  const from = document.createElement("span");
  from.className = "image-from";
  from.append(t("chat.image.from", { host: hostOf(wanted) }), " · ", link(wanted, t("chat.image.original"), ""));
  return [image, from];
}

/** @param {Element} place @param {Wanted} wanted @param {string} trouble */
function offered(place, wanted, trouble) {
  const busy = fetching.has(wanted.address);
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  button.textContent = busy ? t("chat.image.fetching") : t("chat.showImage", { host: hostOf(wanted) });
  button.ariaBusy = String(busy);
  button.addEventListener("click", () => bring(place, wanted));
  if (!trouble) return [button, ...said(wanted)];
  const why = document.createElement("span");
  why.className = "trouble";
  why.role = "alert";
  why.textContent = trouble;
  const below = document.createElement("span");
  below.className = "image-from";
  below.append(why, " ", link(wanted, t("chat.image.original"), ""));
  return [button, ...said(wanted), below];
}

/** @param {Element} place @param {Wanted} wanted */
async function bring(place, wanted) {
  const botId = place.closest("[data-bot]")?.getAttribute("data-bot");
  if (!botId || fetching.has(wanted.address)) return;
  fetching.add(wanted.address);
  drawAll(wanted.address);
  let trouble = "";
  try {
    keep(wanted.address, await decoded(await call("POST", path`/api/bots/${botId}/remote-image`, { url: wanted.address }, { blob: true })));
  } catch (error) {
    trouble = error instanceof Problem ? error.message : t("chat.image.broken");
  }
  fetching.delete(wanted.address);
  drawAll(wanted.address, trouble);
}

/** Whoever waits for it may be another place by now, or several. @param {string} address @param {string} [trouble] */
function drawAll(address, trouble) {
  for (const place of document.querySelectorAll(".remote-image")) {
    const wanted = places.get(place);
    if (wanted?.address === address) draw(place, wanted, trouble);
  }
}

/** Return where an image is, once the browser can show it, so that nothing jumps. @param {Blob} blob */
async function decoded(blob) {
  const at = URL.createObjectURL(blob);
  const image = new Image();
  image.src = at;
  try {
    await image.decode();
  } catch (error) {
    URL.revokeObjectURL(at);
    throw error;
  }
  return at;
}

/** @param {string} address @param {string} blob */
function keep(address, blob) {
  fetched.set(address, blob);
  if (fetched.size <= KEPT) return;
  const [oldest, at] = [...fetched][0];
  fetched.delete(oldest);
  URL.revokeObjectURL(at);
}
