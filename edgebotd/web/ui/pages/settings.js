// The menu under "me": the account, and what is chosen on this device.

import { me, surface } from "../house.js";
import { html, useEffect, useId, useRef, useState } from "../lib.js";
import { keysShown } from "../parts/keys.js";
import { Icon } from "../parts/icon.js";
import { say } from "../parts/toast.js";
import { route } from "../router.js";
import { signOut } from "../session.js";
import { notifications, theme, THEMES } from "../settings.js";
import { language, LANGUAGES, setLanguage, t } from "../strings.js";

const possible = "Notification" in globalThis;

/** Ask the browser's leave, or stop telling. @param {boolean} wanted */
async function notify(wanted) {
  if (wanted && (await Notification.requestPermission()) !== "granted") {
    say(t("settings.notifications.refused"), { bad: true });
    wanted = false;
  }
  notifications.value = wanted ? "on" : "off";
}

function Notifications() {
  // Asked for at each drawing: the browser may have taken its leave back meanwhile.
  const on = notifications.value === "on" && Notification.permission === "granted";
  const [, redraw] = useState(0);
  return html`<label class="choice"><input type="checkbox" checked=${on}
    onChange=${(/** @type {any} */ event) => notify(event.target.checked).then(() => redraw((count) => count + 1))} />
    <span>${t("settings.notifications")}</span></label>`;
}

export function MeMenu() {
  const id = useId();
  const panel = useRef(/** @type {HTMLElement | null} */ (null));
  const [open, setOpen] = useState(false);
  const name = me.value?.name ?? "";
  const close = () => panel.current?.hidePopover();
  useEffect(close, [route.value]);
  // Gone on with Tab, it would cover what has the focus then.
  const left = (/** @type {EventTarget | null} */ to) => to instanceof Element && !panel.current?.contains(to) && to.getAttribute("popovertarget") !== id && close();
  return html`
    <button type="button" class="me" popovertarget=${id} aria-expanded=${open} aria-controls=${id}>
      <${Icon} name="user" /><span class="cut wide" dir="auto">${name}</span><span class="visually-hidden">${t("nav.me")}</span><${Icon} name="down" /></button>
    <div ref=${panel} id=${id} popover="auto" class="menu" role="group" aria-label=${t("nav.me")}
      onFocusOut=${(/** @type {FocusEvent} */ event) => left(event.relatedTarget)}
      onToggle=${(/** @type {any} */ event) => setOpen(event.newState === "open")}>
      <p class="menu-who"><strong dir="auto">${name}</strong> <span class="muted">${me.value?.userId}</span></p>
      ${surface.value === "dashboard" && html`<a class="menu-row" href="/account"><${Icon} name="user" />${t("nav.account")}</a>`}
      <fieldset class="segments"><legend>${t("settings.theme")}</legend>${THEMES.map(
        (one) => html`<label key=${one}><input type="radio" name="theme" checked=${theme.value === one} onChange=${() => (theme.value = one)} />
          <span>${t(`settings.theme.${one}`)}</span></label>`,
      )}</fieldset>
      <fieldset class="segments"><legend>${t("settings.language")}</legend>${Object.entries(LANGUAGES).map(
        ([code, word]) => html`<label key=${code}><input type="radio" name="language" checked=${language.value === code} onChange=${() => setLanguage(code)} />
          <span lang=${code}>${word}</span></label>`,
      )}</fieldset>
      ${possible && html`<${Notifications} />`}
      <button type="button" class="menu-row" onClick=${() => (close(), (keysShown.value = true))}><${Icon} name="menu" />${t("keys.title")} <kbd>?</kbd></button>
      <button type="button" class="menu-row" onClick=${signOut}><${Icon} name="open" />${t("nav.signOut")}</button>
    </div>`;
}
