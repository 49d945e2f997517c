// The focus is never lost: when what has it is taken away, moved or refused for a moment, it goes on near to where it was.

const CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex]";
const FIELDS = "textarea, input:not([type=checkbox], [type=radio])";

/** What comes and goes in lists, and what has buttons that come and go. */
const ITEMS = "[role=row], [role=radiogroup], li, article, form, .toast";

/** What has the focus, or had it until it was taken away; null after somebody has left it. */
let last = /** @type {HTMLElement | null} */ (null);

/** Where it stands or stood, itself included. */
let trail = /** @type {Element[]} */ ([]);

/** What had the focus before it went to a word that is about to go by itself. */
let home = /** @type {HTMLElement | null} */ (null);

/** What had the focus before a dialog. @type {WeakMap<Element, Element | null>} */
const before = new WeakMap();

/** Whether it is lost, and there was nothing yet that could have it. */
let missing = false;

// A field that gets the focus there opens a keyboard which nobody asked for.
const touch = matchMedia("(pointer: coarse)");

/** @param {Element | null | undefined} one @returns {one is HTMLElement} */
function usable(one) {
  return one instanceof HTMLElement && !one.matches(":disabled") && one.checkVisibility({ visibilityProperty: true }) && !(touch.matches && one.matches(FIELDS));
}

/** The control of an item that is like the one that is gone, else its field, else its first. @param {Element} item @param {HTMLElement} like */
function within(item, like) {
  const controls = [...item.querySelectorAll(CONTROLS)].filter(usable).filter((one) => one.tabIndex >= 0);
  return controls.find((one) => one.localName === like.localName && one.className === like.className) ?? controls.find((one) => one.matches(FIELDS)) ?? controls[0];
}

/** The item that has taken the place of one that is gone. @param {Element} item @param {MutationRecord[]} records */
function beside(item, records) {
  const record = records.findLast(({ removedNodes }) => [...removedNodes].includes(item));
  for (const way of /** @type {const} */ (["nextSibling", "previousSibling"])) {
    let other = record?.[way] ?? null;
    while (other !== null && !(other instanceof Element && other.matches(ITEMS))) other = other[way];
    if (other?.isConnected) return other;
  }
  return null;
}

/** @param {HTMLElement} gone @param {MutationRecord[]} records @returns {HTMLElement | null} */
function next(gone, records) {
  if (gone.isConnected) return gone;
  const dialog = trail.find((one) => one.localName === "dialog" && !one.isConnected);
  const opener = dialog && before.get(dialog);
  if (opener !== document.body && opener?.isConnected && usable(opener)) return opener;
  const item = trail.find((one) => one.matches(ITEMS));
  const near = item && (item.isConnected ? item : beside(item, records));
  const found = near && within(near, gone);
  if (found) return found;
  if (home?.isConnected && trail.some((one) => one.matches(".toasts"))) return home;
  // Another page, or another step of one: where it begins.
  const frame = trail.find((one) => one.isConnected && one.matches("[tabindex]")) ?? document.getElementById("main");
  const first = frame?.querySelector("[autofocus]");
  return usable(first) ? first : /** @type {HTMLElement | null} */ (frame);
}

/** @param {MutationRecord[]} records */
function changed(records) {
  if (last === null || document.activeElement !== document.body) return;
  const gone = last;
  const touched = records.some(({ target, removedNodes }) => target === gone || [...removedNodes].some((node) => node.contains(gone)));
  if (!touched && !missing) return;
  const to = next(gone, records);
  if (usable(to)) to.focus({ preventScroll: to === gone || to.id === "main" });
  // One that waits for an answer gets it back with its own next change.
  missing = !usable(to) && to !== gone;
}

/** Show a dialog that gives the focus back, also when it is taken away without being closed. @param {HTMLDialogElement} dialog */
export function showDialog(dialog) {
  // One that waited for a login has its opener from before.
  if (!before.has(dialog)) before.set(dialog, document.activeElement);
  dialog.showModal();
}

/** Have a dialog not give the focus back. @param {HTMLDialogElement} dialog */
export function keepFocus(dialog) {
  before.delete(dialog);
}

/** What had the focus before the page was covered. */
let under = /** @type {HTMLElement | null} */ (null);

/** Lead the focus to what covers the page, once the dialogs on it have made way. @param {HTMLElement | null} to */
export function cover(to) {
  under = last;
  queueMicrotask(() => (usable(to) ? to : document.getElementById("main"))?.focus());
}

/** Give it back, once the page and the dialogs on it are there again. */
export function uncover() {
  const to = under;
  under = null;
  queueMicrotask(() => to?.isConnected && usable(to) && to.focus({ preventScroll: true }));
}

/** Look after it from now on. */
export function startFocus() {
  document.addEventListener("focusin", ({ target, relatedTarget }) => {
    if (!(target instanceof HTMLElement)) return;
    const from = relatedTarget instanceof HTMLElement ? relatedTarget : last;
    if (target.closest(".toasts") && !from?.closest(".toasts")) home = from;
    last = target;
    missing = false;
    trail = [];
    for (let one = /** @type {Element | null} */ (target); one !== null; one = one.parentElement) trail.push(one);
  });
  // On its way to something else: what is taken away because the focus has left it takes nothing along. Heard before anybody else does.
  document.addEventListener("blur", ({ relatedTarget }) => {
    if (relatedTarget !== null) last = null;
  }, true);
  document.addEventListener("focusout", ({ target, relatedTarget }) => {
    if (relatedTarget !== null || !(target instanceof HTMLElement)) return;
    // The browser tells the same of what was taken away, whose change is known by then, and of another window.
    setTimeout(() => {
      if (last === target && target.isConnected && !target.matches(":disabled") && document.hasFocus() && document.activeElement === document.body) last = null;
    });
  });
  new MutationObserver(changed).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["disabled"] });
}
