// The one set of icons, drawn with the text's colour, always beside a word or with a label of its own.

import { html } from "../lib.js";

const PATHS = {
  add: "M8 3v10M3 8h10",
  archive: "M2.5 3.5h11v3h-11zM3.5 6.5v6h9v-6M6.5 9h3",
  attach: "M12.5 7.5 8 12a3 3 0 0 1-4.3-4.3l5-5a2 2 0 0 1 2.8 2.8L6.7 10.3a1 1 0 0 1-1.4-1.4L9.5 4.7",
  back: "M10 3 5 8l5 5",
  check: "M3 8.5 6.5 12 13 4.5",
  bots: "M2.5 5.500h11v7h-11zM8 5.500v-3M6 8.500v1M10 8.500v1",
  chat: "M2.5 3.500h11v7.500h-6l-3 2.500v-2.500h-2z",
  close: "M4 4l8 8M12 4l-8 8",
  copy: "M5.5 5.5h7v7h-7zM10.5 5.5v-2h-7v7h2",
  down: "M3.5 6 8 10.5 12.5 6",
  download: "M8 2.5v7.500M4.5 7 8 10.5 11.5 7M3 13.5h10",
  edit: "M3 13l.5-3 7-7 2.5 2.5-7 7zM9.5 4l2.5 2.5",
  file: "M4 2.5h5l3 3v8H4zM9 2.5v3h3",
  image: "M2.5 3.5h11v9h-11zM2.5 10.5l3-3 3 3 2-2 3 3M10.5 6.5h.01",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  gear: "M3 4.500h5M11 4.500h2M9.500 3v3M3 8h1.500M7.500 8H13M6 6.500v3M3 11.500h6M12 11.500h1M10.500 10v3",
  key: "M6 12.500a3 3 0 1 1 2.700-4.200h5.300v2.200h-1.500v1.500h-1.700v-1.500h-2.100A3 3 0 0 1 6 12.500zM5.800 9.500h.01",
  leave: "M6.5 3H3v10h3.500M7 8h6.500M11 5.500 13.500 8 11 10.500",
  more: "M3.5 7.600h.01v.8h-.01zM8 7.600h.01v.8H8zM12.5 7.600h.01v.8h-.01z",
  open: "M6 3.5H3.500v9h9V10M9 3h4v4M13 3 7.5 8.5",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.5l7 4.5-7 4.5z",
  retry: "M12.5 8a4.5 4.5 0 1 1-1.5-3.4M12.5 2.5v3h-3",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.5 10.5 13.5 13.5",
  send: "M8 13V3.500M3.5 8 8 3.5 12.5 8",
  star: "M8 2.2l1.8 3.7 4 .6-2.9 2.8.7 4L8 11.4l-3.6 1.9.7-4L2.2 6.5l4-.6z",
  stop: "M4.5 4.5h7v7h-7z",
  tool: "M9.5 6.5 13 10a1.8 1.8 0 0 1-2.5 2.5L7 9a3.2 3.2 0 0 1-4-4l2 2 1.5-1.5-2-2a3.2 3.2 0 0 1 5 3z",
  trash: "M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.5 9h6l.5-9",
  user: "M8 8a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM3 13.500c.5-2.500 2.500-3.500 5-3.500s4.500 1 5 3.500",
  warning: "M8 2.5 14 13.5H2zM8 6.5v3.500M8 12h.01",
};

/** @typedef {keyof typeof PATHS} IconName */

/** @param {{name: IconName, label?: string, filled?: boolean}} props `label` where no word stands beside it */
export function Icon({ name, label, filled = false }) {
  return html`<svg class="icon" viewBox="0 0 16 16" width="16" height="16" fill=${filled ? "currentColor" : "none"} stroke="currentColor"
    stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" role=${label ? "img" : null} aria-label=${label ?? null}
    aria-hidden=${label ? null : "true"}><path d=${PATHS[name]} /></svg>`;
}
