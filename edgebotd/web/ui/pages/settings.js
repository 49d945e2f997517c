// The menu under "me": the account, and what is chosen on this device.

import { me, surface } from "../house.js";
import { html, useEffect, useId, useRef, useState } from "../lib.js";
import { keysShown } from "../parts/keys.js";
import { Icon } from "../parts/icon.js";
import { lazy } from "../parts/lazy.js";
import { route } from "../router.js";
import { signOut } from "../session.js";
import { theme, THEMES } from "../settings.js";
import { language, LANGUAGES, setLanguage, t } from "../strings.js";

// It comes with the chat, which is what notifies.
const Telling = lazy(async () => (await import("../chat/telling.js")).Telling, { likely: true, waiting: null });

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
      ${open && html`<${Telling} />`}
      <button type="button" class="menu-row" onClick=${() => (close(), (keysShown.value = true))}><${Icon} name="menu" />${t("keys.title")} <kbd>?</kbd></button>
      <button type="button" class="menu-row" onClick=${signOut}><${Icon} name="leave" />${t("nav.signOut")}</button>
    </div>`;
}
