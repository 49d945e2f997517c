// What the engine has on its disk: bars on one scale, each with its words, and the volumes one by one.

import { call } from "../../api.js";
import { bots } from "../../house.js";
import { html } from "../../lib.js";
import { Age } from "../../parts/age.js";
import { t } from "../../strings.js";
import { size } from "../../time.js";
import { Head, Shown, useFresh } from "./live.js";
import { Table } from "./table.js";

// The engine goes through every file of every volume for it.
const SECONDS = 60;
const KINDS = /** @type {const} */ (["images", "volumes", "containers", "buildCache"]);

/**
 * @typedef {{count: number, sizeBytes: number, reclaimableBytes: number}} Room
 * @typedef {{name: string, botId: string | null, sizeBytes: number | null, used: boolean}} Volume
 * @typedef {{at: number, images: Room, containers: Room, volumes: Room, buildCache: Room, eachVolume: Volume[]}} Disk `GET /api/engine/disk`
 */

/** @param {number} part @param {number} whole */
const share = (part, whole) => ({ inlineSize: `${whole > 0 ? (100 * part) / whole : 0}%` });

/** @param {{name: typeof KINDS[number], room: Room, most: number}} props */
function Kind({ name, room, most }) {
  const free = Math.min(room.reclaimableBytes, room.sizeBytes);
  return html`<li class="work-room"><div class="work-room-words"><h2>${t(`disk.${name}`)} <span class="muted">${room.count}</span></h2>
      <p>${size(room.sizeBytes)}${free > 0 && html` <span class="muted">· ${t("disk.free", { size: size(free) })}</span>`}</p></div>
    <div class="work-meter" aria-hidden="true"><span class="work-meter-used" style=${share(room.sizeBytes - free, most)}></span><span class="work-meter-free" style=${share(free, most)}></span></div>
    <div class="work-room-words small"><p class="muted">${t(`disk.${name}.text`)}</p>${name === "images" && free > 0 && html`<a class="link" href="/admin/images">${t("images.removeUnused")}</a>`}</div></li>`;
}

/** @param {Volume} one */
function owner(one) {
  if (one.botId === null) return html`<span class="muted">${t("disk.notOurs")}</span>`;
  const bot = bots.value.get(one.botId);
  return bot ? html`<a href=${`/bots/${one.botId}`}>${bot.name}</a>` : t("disk.botGone", { id: one.botId });
}

const columns = () => /** @type {import("./table.js").Column<Volume>[]} */ ([
  { key: "name", label: t("disk.volume"), as: "main", sort: (one) => one.name, cell: (one) => one.name },
  { key: "bot", label: t("admin.bot"), as: "wide", sort: (one) => one.botId, cell: owner },
  { key: "used", label: t("images.used"), sort: (one) => Number(one.used), cell: (one) => t(one.used ? "disk.used" : "disk.unused") },
  { key: "size", label: t("images.size"), as: "number", sort: (one) => one.sizeBytes, cell: (one) => (one.sizeBytes === null ? html`<span class="muted">${t("disk.unknown")}</span>` : size(one.sizeBytes)) },
]);

export function DiskUse() {
  const answer = useFresh((abort) => call("GET", "/api/engine/disk", undefined, { signal: abort }), [], SECONDS);
  return html`<${Head} title=${t("admin.disk")} text=${t("disk.text")} />
    <${Shown} from=${answer}>${(/** @type {Disk} */ disk) => {
      const most = Math.max(...KINDS.map((name) => disk[name].sizeBytes));
      const whole = KINDS.reduce((sum, name) => sum + disk[name].sizeBytes, 0);
      return html`<p>${t("disk.whole", { size: size(whole) })} <span class="muted">· ${t("disk.asOf")} <${Age} at=${disk.at} /></span></p>
        <ul class="work-rooms">${KINDS.map((name) => html`<${Kind} key=${name} name=${name} room=${disk[name]} most=${most} />`)}</ul>
        ${disk.eachVolume.length > 0 && html`<section><h2>${t("disk.volumes")}</h2><${Table} label=${t("disk.volumes")} columns=${columns()} rows=${disk.eachVolume} id=${(/** @type {Volume} */ one) => one.name}
          order=${{ key: "size", down: true }} words=${(/** @type {Volume} */ one) => `${one.name} ${one.botId ?? ""}`} /></section>`}`;
    }}<//>`;
}
