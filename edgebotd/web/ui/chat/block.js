// One block of a text: parsed once when it is finished; while it is open it grows, at the price of what is new.

import { Component, html } from "../lib.js";
import { blocksOf } from "./blocks.js";
import { highlightLater } from "./highlight.js";
import { codeBox, isReady, prepare, render } from "./markdown.js";

const SMALL = 2000; // an open block up to this is parsed each time
const GROWTH = 1.25; // beyond, only when it has grown by a quarter: all parses together stay below five times the text

/** @typedef {{text: string, fence?: import("./blocks.js").OpenFence | null, open?: boolean, cuts?: number}} BlockProps */

export class Block extends Component {
  /** @type {HTMLElement | null} */
  node = null;
  /** @type {Text | null} */
  tail = null;
  shown = ""; // what the nodes stand for
  parsed = 0; // how much of it the parser saw
  cuts = 0;
  mode = /** @type {"none" | "closed" | "open" | "fence" | "plain"} */ ("none");
  gone = false;

  /** @override @param {BlockProps} next */
  shouldComponentUpdate(next) {
    const now = /** @type {BlockProps} */ (this.props);
    return next.text !== now.text || next.open !== now.open;
  }

  /** @override */
  componentDidMount() {
    this.paint();
  }

  /** @override */
  componentDidUpdate() {
    this.paint();
  }

  /** @override */
  componentWillUnmount() {
    this.gone = true;
  }

  paint() {
    const { text, open = false, fence = null, cuts = 0 } = /** @type {BlockProps} */ (this.props);
    const node = this.node;
    if (node === null) return;
    const grown = cuts === this.cuts && text.length >= this.shown.length;
    this.cuts = cuts;
    if (open && fence) this.paintFence(node, fence, grown);
    else if (!isReady()) this.paintPlain(node, text);
    else if (open && this.mode === "open" && grown && text.length > SMALL && text.length < this.parsed * GROWTH) {
      this.tail?.appendData(text.slice(this.shown.length));
    } else if (open || this.mode !== "closed" || text !== this.shown) this.paintWhole(node, text, open);
    this.shown = text;
  }

  /** @param {HTMLElement} node @param {string} text @param {boolean} open */
  paintWhole(node, text, open) {
    node.replaceChildren(/** @type {DocumentFragment} */ (render(text)));
    this.parsed = text.length;
    this.mode = open ? "open" : "closed";
    this.tail = null;
    if (open && text.length > SMALL) {
      let last = /** @type {Element} */ (node);
      while (last.lastElementChild?.matches("p, ul, ol, li, blockquote")) last = last.lastElementChild;
      this.tail = document.createTextNode("");
      last.append(this.tail);
    }
    if (!open) highlightLater(node);
  }

  /** @param {HTMLElement} node @param {import("./blocks.js").OpenFence} fence @param {boolean} grown */
  paintFence(node, { lang, code }, grown) {
    if (this.mode !== "fence" || !grown) {
      const box = codeBox(lang, "");
      node.replaceChildren(box);
      this.tail = /** @type {Text} */ (box.querySelector("code")?.firstChild);
      this.mode = "fence";
    }
    this.tail?.appendData(code.slice(this.tail.length));
  }

  /** @param {HTMLElement} node @param {string} text */
  paintPlain(node, text) {
    node.textContent = text;
    if (this.mode !== "plain") {
      this.mode = "plain";
      prepare().then(
        () => this.gone || this.paint(),
        () => {}, // stays plain text; the next block asks again
      );
    }
  }

  /** @override */
  render() {
    return html`<div class="md" dir="auto" ref=${(/** @type {HTMLElement | null} */ node) => (this.node = node)}></div>`;
  }
}

/** @type {WeakMap<object, string[]>} */
const cut = new WeakMap();

/**
 * A text: a part of a message, which never changes, or what is being written. One component for both, so that the nodes
 * stay when a reply ends.
 *
 * @param {{part?: import("./types.js").TextPart, blocks?: import("./blocks.js").Blocks, over?: boolean}} props
 */
export function Prose({ part, blocks, over = false }) {
  if (part) {
    let whole = cut.get(part);
    if (whole === undefined) cut.set(part, (whole = blocksOf(part.text)));
    return whole.map((text, index) => html`<${Block} key=${index} text=${text} />`);
  }
  if (!blocks) return null;
  const { closed, open } = blocks;
  return [
    ...closed.map((text, index) => html`<${Block} key=${index} text=${text} />`),
    open.trim() && html`<${Block} key=${closed.length} text=${open} fence=${blocks.openFence} open=${!over} cuts=${blocks.cuts} />`,
  ];
}
