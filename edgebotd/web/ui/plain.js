// Markdown as plain words, for where a line of a message is all there is room for. It may have been cut anywhere.

const RULES = /** @type {[RegExp, string][]} */ ([
  [/^\s*(?:```|~~~)[\w+-]*/gm, " "],
  [/(?:```|~~~)[\w+-]*/g, " "],
  // Rows of dashes below the head of a table, and rules between paragraphs.
  [/\|?(?:\s*:?-{3,}:?\s*\|)+(?:\s*:?-{3,}:?)?/g, " "],
  [/(^|\s)(?:-{3,}|\*{3,}|_{3,})(?=\s|$)/g, "$1"],
  // Images and links are their words; where one was cut, its address too.
  [/!?\[([^\]]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+"[^"]*")?(?:\)|…?$)/g, "$1"],
  [/<((?:https?:\/\/|mailto:)[^\s>]+)>/g, "$1"],
  [/(^|\s)#{1,6}\s+/g, "$1"],
  [/^\s*(?:>\s?)+/gm, ""],
  // What the daemon has put on one line already has its quotes after the end of something.
  [/([.:!?…]\s)(?:>(?:\s|$))+/g, "$1"],
  [/^\s*[-*+]\s+(?:\[[ xX]\]\s+)?/gm, ""],
  [/(`+)\s?([^`]+?)\s?\1/g, "$2"],
  [/(\*{1,3}|~~)(?=\S)([^*~]*[^\s*~])\1/g, "$2"],
  [/(^|[^\p{L}\p{N}_])(_{1,3})(?=\S)([^_]*[^\s_])\2(?![\p{L}\p{N}_])/gu, "$1$3"],
  // What was opened where the text is cut.
  [/(^|\s)(?:\*\*|__|~~|`)(?=\S)/g, "$1"],
  [/(^|\s)[*_](?=[^\s*_][^*_]*…$)/, "$1"],
]);

/** Marks that are meant as they stand are out of the way meanwhile: Unicode leaves this range to whoever needs one. */
const ASIDE = 0xe000;
const TABLE = /\|(?:\s*:?-{3,}:?\s*\|)+/;

/** The words of a text in markdown, on one line. Pure. @param {string} text */
export function plain(text) {
  const table = TABLE.test(text);
  let words = text.replace(/\\([!-/:-@[-`{-~])/g, (_, mark) => String.fromCharCode(ASIDE + mark.charCodeAt(0)));
  for (const [mark, by] of RULES) words = words.replace(mark, by);
  if (table) words = words.replace(/\s*\|[\s|]*/g, " · ").replace(/^ · | · $/g, "").replace(/: · /g, ": ");
  words = words.replace(/[\ue000-\ue07f]/g, (mark) => String.fromCharCode(mark.charCodeAt(0) - ASIDE));
  return words.replace(/\s+/g, " ").trim();
}
