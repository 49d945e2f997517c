// Markdown to nodes: raw HTML is text, everything is sanitised after rendering, nothing is loaded from elsewhere.

import { copy as toClipboard } from "../parts/copy.js";
import { t } from "../strings.js";
import { counts } from "./counts.js";
import { remoteImage } from "./remote-image.js";

const TAGS = [
  "a", "b", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong",
  "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
];
const ATTRIBUTES = ["href", "title", "class", "start", "align"];
const LINK = /^(?:https?:\/\/|mailto:)/i;

/** @typedef {(text: string) => DocumentFragment} Renderer */

/** @type {Renderer | null} */
let renderer = null;
/** @type {Promise<void> | null} */
let loading = null;

/** @param {string} text */
const escape = (text) => text.replace(/[&<>"']/g, (mark) => `&#${mark.charCodeAt(0)};`);

/** Where a link may lead, null where nowhere. @param {string} href */
function target(href) {
  if (!LINK.test(href)) return null;
  try {
    return new URL(href).href;
  } catch {
    return null;
  }
}

async function load() {
  const [{ Marked }, { default: purify }] = await Promise.all([import("../vendor/marked.js"), import("../vendor/dompurify.js")]);
  const marked = new Marked({ gfm: true, breaks: true });
  marked.use({
    renderer: {
      html: ({ text }) => escape(text),
      checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
      link({ href, title, tokens }) {
        const text = this.parser.parseInline(tokens);
        const to = target(href);
        return to === null ? text : `<a href="${escape(to)}"${title ? ` title="${escape(title)}"` : ""}>${text}</a>`;
      },
      image({ href, text }) {
        const to = target(href);
        return to === null || to.startsWith("mailto:") ? escape(text || href) : `<a class="remote-image" href="${escape(to)}">${escape(text)}</a>`;
      },
    },
  });
  renderer = (text) =>
    purify.sanitize(marked.parse(text, { async: false }), {
      ALLOWED_TAGS: TAGS,
      ALLOWED_ATTR: ATTRIBUTES,
      ALLOWED_URI_REGEXP: LINK,
      ADD_URI_SAFE_ATTR: ["align", "start"], // they lead nowhere, and would be held to the pattern of links
      ALLOW_DATA_ATTR: false,
      ALLOW_ARIA_ATTR: false,
      RETURN_DOM_FRAGMENT: true,
    });
}

/** Have the parser ready; it is not part of the page's first load. */
export function prepare() {
  loading ??= load().catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

export const isReady = () => renderer !== null;

/** Return a block's nodes, null while the parser is being loaded. @param {string} text */
export function render(text) {
  if (renderer === null) return null;
  counts.parsed += 1;
  counts.parsedUnits += text.length;
  let nodes;
  try {
    nodes = renderer(text);
  } catch {
    // Nested more deeply than the parser can follow.
    nodes = document.createDocumentFragment();
    nodes.append(text);
  }
  decorate(nodes);
  return nodes;
}

/** @param {DocumentFragment} nodes */
function decorate(nodes) {
  for (const link of nodes.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const other of nodes.querySelectorAll("[class]:not(code, .remote-image)")) other.removeAttribute("class");
  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (nodes.querySelectorAll("a.remote-image"))) {
    link.replaceWith(remoteImage({ address: link.href, words: link.textContent ?? "" }));
  }
  for (const table of nodes.querySelectorAll("table")) {
    const box = document.createElement("div");
    box.className = "table-box";
    box.tabIndex = 0;
    box.role = "group";
    box.ariaLabel = t("chat.table");
    table.replaceWith(box);
    box.append(table);
  }
  for (const pre of nodes.querySelectorAll("pre")) {
    const code = pre.querySelector("code");
    const lang = /(?:^|\s)language-(\S+)/.exec(code?.className ?? "")?.[1] ?? "";
    if (code) code.removeAttribute("class");
    const box = codeBox(lang, (code ?? pre).textContent.replace(/\n$/, ""));
    pre.replaceWith(box);
  }
  for (const code of nodes.querySelectorAll("code[class]")) code.removeAttribute("class");
}

/** A block of code with its language and a button that copies it. @param {string} lang @param {string} text */
export function codeBox(lang, text) {
  const box = document.createElement("div");
  box.className = "code-box";
  const head = document.createElement("div");
  head.className = "code-head";
  const name = document.createElement("span");
  name.textContent = lang;
  const copy = document.createElement("button");
  copy.type = "button";
  copy.className = "link code-copy";
  copy.textContent = t("chat.copyCode");
  const pre = document.createElement("pre");
  pre.tabIndex = 0;
  const code = document.createElement("code");
  code.append(document.createTextNode(text));
  if (lang) code.dataset.lang = lang;
  pre.append(code);
  copy.addEventListener("click", async () => {
    if (!(await toClipboard(code.textContent ?? ""))) return select(code);
    copy.textContent = t("chat.copied");
    setTimeout(() => (copy.textContent = t("chat.copyCode")), 2000);
  });
  head.append(name, copy);
  box.append(head, pre);
  return box;
}

/** Where the clipboard is refused, at least mark what is to be copied. @param {Element} element */
function select(element) {
  getSelection()?.selectAllChildren(element);
}
