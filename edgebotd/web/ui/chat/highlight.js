// Colours for code, when the browser has nothing else to do and the reply is over.

const LANGUAGES = [
  "bash", "c", "cpp", "csharp", "css", "diff", "dockerfile", "go", "ini", "java", "javascript", "json", "kotlin", "lua", "makefile",
  "markdown", "nginx", "perl", "php", "python", "ruby", "rust", "sql", "swift", "typescript", "xml", "yaml",
];
/** @type {Record<string, string>} */
const ALIASES = {
  sh: "bash", shell: "bash", zsh: "bash", console: "bash", h: "c", "c++": "cpp", cxx: "cpp", hpp: "cpp", cs: "csharp", patch: "diff",
  docker: "dockerfile", golang: "go", toml: "ini", js: "javascript", jsx: "javascript", mjs: "javascript", jsonc: "json", json5: "json",
  kt: "kotlin", make: "makefile", md: "markdown", pl: "perl", py: "python", rb: "ruby", rs: "rust", ts: "typescript",
  tsx: "typescript", html: "xml", svg: "xml", yml: "yaml",
};
const LONGEST = 50_000;

/** @type {Element[]} */
let waiting = [];
let asked = false;

/** Colour the code in these nodes later. @param {ParentNode} nodes */
export function highlightLater(nodes) {
  const found = nodes.querySelectorAll("code[data-lang]");
  if (found.length === 0) return;
  waiting.push(...found);
  ask();
}

function ask() {
  if (asked) return;
  asked = true;
  // Safari has no requestIdleCallback.
  if ("requestIdleCallback" in window) requestIdleCallback(work, { timeout: 2000 });
  else setTimeout(work, 50);
}

async function work() {
  const code = /** @type {HTMLElement | undefined} */ (waiting.shift());
  if (code?.isConnected) await colour(code).catch(reportError);
  asked = false;
  if (waiting.length > 0) ask();
}

/** @param {HTMLElement} element */
async function colour(element) {
  const asked = (element.dataset.lang ?? "").toLowerCase();
  const language = Object.hasOwn(ALIASES, asked) ? ALIASES[asked] : asked;
  const text = element.textContent ?? "";
  if (!LANGUAGES.includes(language) || text.length > LONGEST) return;
  const { default: core } = await import("../vendor/highlight/core.js");
  const { default: grammar } = await import(`../vendor/highlight/${language}.js`);
  const { default: purify } = await import("../vendor/dompurify.js");
  if (!core.getLanguage(language)) core.registerLanguage(language, grammar);
  const { value } = core.highlight(text, { language, ignoreIllegals: true });
  element.replaceChildren(purify.sanitize(value, { ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"], RETURN_DOM_FRAGMENT: true }));
}
