// The page starts here: who is there decides between the login and the house.

import { call, Problem, signedOut } from "./api.js";
import { loadMe, me, startHouse } from "./house.js";
import { effect, html, render, signal } from "./lib.js";
import { SignIn } from "./pages/sign-in.js";
import { Shell } from "./parts/shell.js";
import { startRouter } from "./router.js";
import { socket } from "./socket.js";
import { startLanguage } from "./strings.js";

const RETRY_MS = 2000;

/** @type {import("./lib.js").Signal<{code: string, userId: string | null, detail: string} | null>} */
const setup = signal(null);
const trouble = signal(/** @type {string | null} */ (null));
const ready = signal(false);

/** Take the one-time code out of the address at once, so that it stays in no history. */
function takeCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code) history.replaceState(null, "", location.pathname + location.search);
  return code;
}

/** @param {string} code */
async function redeem(code) {
  try {
    await call("POST", "/api/setup", { code });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.code === "setup_incomplete") setup.value = { code, userId: error.extra.userId ?? null, detail: error.message };
    else trouble.value = error.message;
  }
}

async function enter() {
  try {
    await loadMe();
    signedOut.value = false;
    socket.start();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    // A restart, or a proxy that speaks for the daemon: who is signed in stays so.
    if (error.status !== 401) setTimeout(enter, RETRY_MS);
  }
  ready.value = true;
}

function App() {
  if (setup.value !== null) {
    return html`<${SignIn} setup=${setup.value} onDone=${() => ((setup.value = null), enter())} />`;
  }
  if (me.value === null || signedOut.value) {
    return ready.value ? html`<${SignIn} trouble=${trouble.value} onDone=${() => ((trouble.value = null), enter())} />` : null;
  }
  return html`<${Shell} />`;
}

async function start() {
  startRouter();
  startHouse();
  await startLanguage();
  const app = /** @type {HTMLElement} */ (document.getElementById("app"));
  render(html`<${App} />`, app);
  effect(() => {
    if (signedOut.value) socket.stop();
  });
  effect(() => {
    document.documentElement.dataset.line = socket.state.value.phase;
  });
  const code = takeCode();
  if (code) await redeem(code);
  if (setup.value === null) await enter();
}

start();
