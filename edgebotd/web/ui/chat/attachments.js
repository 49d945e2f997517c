// Files: those of a message, and those that are about to be sent.

import { path } from "../api.js";
import { html, useEffect, useState } from "../lib.js";
import { Icon } from "../parts/icon.js";
import { t } from "../strings.js";
import { size } from "../time.js";
import { mediaType } from "./outbox.js";

const SHOWN = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"]);
export const MOST_FILES = 20;

/** @param {{part: import("./types.js").AttachmentPart}} props */
export function Attachment({ part }) {
  const [broken, setBroken] = useState(false);
  const address = path`/api/attachments/${part.sha256}`;
  if (SHOWN.has(part.mediaType) && !broken) {
    return html`<a class="picture" href=${address} target="_blank" rel="noopener">
      <img src=${address} alt=${part.name} loading="lazy" decoding="async" onError=${() => setBroken(true)} /></a>`;
  }
  return html`<a class="file" href=${address} download=${part.name}><${Icon} name="file" />
    <span class="file-name" dir="auto">${part.name}</span><span class="muted">${size(part.size)}</span></a>`;
}

/** A file that is about to be sent. @param {{file: File, onRemove: () => void}} props */
export function Chosen({ file, onRemove }) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    if (!SHOWN.has(file.type)) return;
    const made = URL.createObjectURL(file);
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  return html`<li class="chosen">${address ? html`<img src=${address} alt="" />` : html`<${Icon} name="file" />`}
    <span class="file-name" dir="auto">${file.name}</span><span class="muted">${size(file.size)}</span>
    <button type="button" class="icon-button" onClick=${onRemove}><${Icon} name="close" label=${t("chat.files.remove", { name: file.name })} /></button></li>`;
}

/**
 * Why a bot does not take a file, in words; null where it does.
 *
 * @param {File} file @param {import("./types.js").Rules | null} rules null: it takes none
 */
export function refusal(file, rules) {
  if (rules === null) return t("chat.files.none");
  const kind = mediaType(file);
  const most = kind.startsWith("image/") ? Math.min(rules.maxBytes, rules.maxImageBytes) : rules.maxBytes;
  if (file.size > most) return t("chat.files.tooLarge", { name: file.name, size: size(file.size), most: size(most) });
  const kinds = rules.mediaTypes;
  if (kinds && !kinds.includes(kind) && !kinds.includes(`${kind.split("/")[0]}/*`)) {
    return t("chat.files.kind", { name: file.name, kinds: kinds.join(", ") });
  }
  return null;
}

/** The same of all files of a message together. @param {File[]} files @param {import("./types.js").Rules | null} rules */
export function refusalOfAll(files, rules) {
  const total = files.reduce((sum, file) => sum + file.size, 0);
  if (rules === null || total <= rules.maxTotalBytes) return null;
  return t("chat.files.tooMuch", { size: size(total), most: size(rules.maxTotalBytes) });
}
