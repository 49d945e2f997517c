// Logging in, and what a one-time link asks for first.

import { call, Problem } from "../api.js";
import { html, useState } from "../lib.js";
import { t } from "../strings.js";

/**
 * @param {{onDone: () => void, trouble?: string | null,
 *   setup?: {code: string, userId: string | null, detail: string} | null}} props
 */
export function SignIn({ onDone, trouble = null, setup = null }) {
  const [said, say] = useState(trouble);
  const [busy, setBusy] = useState(false);

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const typed = { userId: setup?.userId ?? form.get("userId"), password: form.get("password") };
    setBusy(true);
    try {
      if (setup) await call("POST", "/api/setup", { code: setup.code, ...typed });
      else await call("POST", "/api/login", typed);
      onDone();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      say(error.message);
    } finally {
      setBusy(false);
    }
  }

  return html`
    <main class="centred" id="main">
      <h1>${setup ? setup.detail : t("signIn.title")}</h1>
      <form onSubmit=${submit} id="sign-in" style=${{ display: "grid", gap: "12px" }}>
        ${!setup?.userId && html`
          <label class="field"><span>${t("signIn.user")}</span>
            <input class="input" name="userId" autocomplete="username" autocapitalize="none" required /></label>`}
        <label class="field"><span>${t("signIn.password")}</span>
          <input class="input" name="password" type="password" autocomplete=${setup ? "new-password" : "current-password"} required /></label>
        <button class="button primary" disabled=${busy}>${t("signIn.go")}</button>
      </form>
      <p role="alert" class="trouble">${said}</p>
    </main>`;
}
