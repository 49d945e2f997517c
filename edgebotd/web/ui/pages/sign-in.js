// Logging in, and what a one-time link of an account asks for first.

import { call, Problem } from "../api.js";
import { html, useLayoutEffect, useRef, useState } from "../lib.js";
import { cover } from "../parts/focus.js";
import { useTitle } from "../parts/title.js";
import { t } from "../strings.js";

/**
 * @param {{onDone: () => void, trouble?: string | null, ended?: boolean,
 *   setup?: {code: string, userId: string | null, detail: string} | null}} props `ended`: there was a session till now
 */
export function SignIn({ onDone, trouble = null, ended = false, setup = null }) {
  const [said, say] = useState(trouble);
  const [busy, setBusy] = useState(false);
  const user = useRef(/** @type {HTMLInputElement | null} */ (null));
  const password = useRef(/** @type {HTMLInputElement | null} */ (null));
  // `autofocus` is heard once in the life of a page.
  useLayoutEffect(() => {
    if (ended) cover(user.current);
  }, []);

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const typed = { userId: setup?.userId ?? String(form.get("userId")).trim(), password: form.get("password") };
    setBusy(true);
    say(null);
    try {
      if (setup) await call("POST", "/api/setup", { code: setup.code, ...typed });
      else await call("POST", "/api/login", typed);
      onDone();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      say(error.message);
      password.current?.select();
    } finally {
      setBusy(false);
    }
  }

  const title = t(setup ? "signIn.choose" : "signIn.title");
  useTitle(title);
  return html`<main class="first" id="main" tabindex="-1">
    <p class="muted small">edgebotd</p>
    <h1>${title}</h1>
    ${ended && html`<p>${t("signIn.ended")}</p>`}
    <form onSubmit=${submit} id="sign-in" class="stack">
      ${setup?.userId
        ? html`<p>${t("signIn.for", { user: setup.userId })}</p><input type="hidden" name="username" autocomplete="username" value=${setup.userId} />`
        : html`<label class="field"><span>${t("signIn.user")}</span>
            <input ref=${user} class="input" name="userId" autocomplete="username" autocapitalize="none" spellcheck=${false} required autofocus /></label>`}
      <label class="field"><span>${t("signIn.password")}</span>
        <input ref=${password} class="input" name="password" type="password" autocomplete=${setup ? "new-password" : "current-password"} required minlength=${setup ? 10 : null} autofocus=${Boolean(setup?.userId)} />
        ${setup && html`<small class="muted">${t("signIn.password.hint")}</small>`}</label>
      <p role="alert" class=${said ? "trouble" : "visually-hidden"}>${said}</p>
      <button class="button primary" disabled=${busy}>${t(setup ? "signIn.save" : "signIn.go")}</button>
    </form>
    ${!setup && html`<p class="muted small">${t("signIn.forgot")} <code>edgebotd user passwd NAME --link</code></p>`}
  </main>`;
}
