// The engine's images: what each takes, who uses it, and taking away what nobody does.

import { call } from "../../api.js";
import { bots } from "../../house.js";
import { html, useState } from "../../lib.js";
import { confirm } from "../../parts/dialog.js";
import { Icon } from "../../parts/icon.js";
import { say, sayError } from "../../parts/toast.js";
import { useSocketEvent } from "../../socket.js";
import { t } from "../../strings.js";
import { age, full, size } from "../../time.js";
import { Head, Shown, useFresh } from "./live.js";
import { Table } from "./table.js";

const SECONDS = 30;
const SHORT_ID = 12;

/**
 * @typedef {{id: string, tags: string[], digests: string[], sizeBytes: number, createdAt: number | null, bots: string[], containers: string[]}} ImageRow
 *   `GET /api/images`
 */

/** @param {ImageRow} one */
const unused = (one) => one.bots.length === 0 && one.containers.length === 0;

/** What an image is called by people; its id where it has no name. @param {ImageRow} one */
const nameOf = (one) => one.tags[0] ?? one.digests[0] ?? one.id.replace("sha256:", "").slice(0, SHORT_ID);

/** Take away an image with all its names. @param {ImageRow} one */
async function take(one) {
  for (const reference of one.tags.length ? one.tags : [one.id]) await call("DELETE", "/api/images", { reference });
}

/** @param {ImageRow} one */
function users(one) {
  if (unused(one)) return html`<span class="muted">${t("images.nobody")}</span>`;
  const places = one.bots.map((id) => (bots.value.has(id) ? html`<a key=${id} href=${`/bots/${id}`}>${bots.value.get(id)?.name}</a>` : html`<span key=${id}>${id}</span>`));
  const others = one.containers.map((name) => html`<span key=${name} class="muted">${name}</span>`);
  return html`<span class="work-users">${[...places, ...others]}</span>`;
}

/** @param {(one: ImageRow) => void} remove @param {boolean} busy */
const columns = (remove, busy) => /** @type {import("./table.js").Column<ImageRow>[]} */ ([
  { key: "image", label: t("make.image"), as: "main", sort: nameOf, cell: (one) => html`
    ${one.tags.length ? one.tags.map((tag) => html`<div key=${tag}>${tag}</div>`) : html`<span>${nameOf(one)}</span>`}
    <span class="small muted admin-mono">${one.id.replace("sha256:", "").slice(0, SHORT_ID)}</span>` },
  { key: "used", label: t("images.used"), as: "wide", sort: (one) => -one.bots.length - one.containers.length, cell: users },
  { key: "size", label: t("images.size"), as: "number", sort: (one) => one.sizeBytes, cell: (one) => size(one.sizeBytes) },
  { key: "made", label: t("images.made"), as: "number", sort: (one) => one.createdAt,
    cell: (one) => one.createdAt !== null && html`<span title=${full(one.createdAt)}>${age(one.createdAt)}</span>` },
  { key: "remove", label: t("admin.actions"), as: "actions", cell: (one) => unused(one)
    && html`<button type="button" class="button admin-act" disabled=${busy} onClick=${() => remove(one)}>${t("bot.remove")}<span class="visually-hidden"> ${nameOf(one)}</span></button>` },
]);

export function Images() {
  const answer = useFresh((abort) => call("GET", "/api/images", undefined, { signal: abort }), [], SECONDS);
  const [busy, setBusy] = useState(false);
  useSocketEvent("provision-done", answer.reload);
  /** @type {ImageRow[]} */
  const items = answer.value?.items ?? [];
  const free = items.filter(unused);

  /** @param {ImageRow[]} rows @param {string} title */
  async function remove(rows, title) {
    if (!(await confirm({ title, text: t("images.remove.text"), action: t("bot.remove") }))) return;
    setBusy(true);
    try {
      for (const one of rows) await take(one);
      say(t("images.removed", { count: rows.length }));
    } catch (error) {
      sayError(error);
    } finally {
      setBusy(false);
      answer.reload();
    }
  }
  const one = (/** @type {ImageRow} */ image) => remove([image], t("images.remove.one", { name: nameOf(image) }));
  return html`<${Head} title=${t("admin.images")} text=${t("images.text")}>
      ${free.length > 0 && html`<button type="button" class="button" disabled=${busy} onClick=${() => remove(free, t("images.remove.all", { count: free.length }))}>
        <${Icon} name="trash" />${t("images.removeUnused")}</button>`}<//>
    <${Shown} from=${answer}>${() => html`<${Table} label=${t("admin.images")} columns=${columns(one, busy)} rows=${items} id=${(/** @type {ImageRow} */ row) => row.id}
      order=${{ key: "size", down: true }} empty=${t("images.none")} words=${(/** @type {ImageRow} */ row) => [...row.tags, row.id, ...row.bots, ...row.containers].join(" ")} />
      <p><a href="/admin/disk">${t("admin.disk")}</a></p>`}<//>`;
}
