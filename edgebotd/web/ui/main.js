// The page starts here: who is there decides between the login, the first run and the house.

import { call, Problem, signedOut } from "./api.js";
// From the start, as the snapshot tells only once what replies that go on have said so far.
import "./chat/runs.js";
import { startContainers } from "./containers.js";
import { known, loadMe, me, startHouse } from "./house.js";
import { effect, html, render, signal, useLayoutEffect } from "./lib.js";
import { SignIn } from "./pages/sign-in.js";
import { startFocus, uncover } from "./parts/focus.js";
import { startKeys } from "./parts/keys.js";
import { fetchSoon, lazy } from "./parts/lazy.js";
import { Shell } from "./parts/shell.js";
import { Toasts } from "./parts/toast.js";
import { loadPreferences } from "./preferences.js";
import { navigate, startRouter } from "./router.js";
import { startSettings } from "./settings.js";
import { socket } from "./socket.js";
import { startLanguage, t } from "./strings.js";
import { startTalk } from "./talk.js";

const RETRY_MS = 2000;

// Seen once in an installation's life.
const MakeAdmin = lazy(async () => (await import("./pages/first-run.js")).MakeAdmin);
const FirstBot = lazy(async () => (await import("./pages/first-run.js")).FirstBot);

/** @type {import("./lib.js").Signal<{code: string, userId: string | null, detail: string} | null>} */
const setup = signal(null);
const firstRun = signal(false);
const trouble = signal(/** @type {string | null} */ (null));
const unreachable = signal(/** @type {string | null} */ (null));
const ready = signal(false);

/** One tab's login is every tab's. */
const logins = new BroadcastChannel("edgebotd.login");
logins.onmessage = () => {
  if (setup.value === null && (me.value === null || signedOut.value)) enter();
};

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
    unreachable.value = null;
    socket.start(me.value?.userId);
    loadPreferences();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    // A restart, or a proxy that speaks for the daemon: who is signed in stays so.
    if (error.status !== 401) {
      unreachable.value = error.message;
      setTimeout(enter, RETRY_MS);
    }
  }
  ready.value = true;
}

/** What was typed stays below the login, out of sight and reach, for the same person to go on. @param {{children: any}} props */
function House({ children }) {
  const ended = signedOut.value;
  useLayoutEffect(() => {
    if (!ended) uncover();
  }, [ended]);
  return html`<div class="house" hidden=${ended} inert=${ended}>${children}</div>`;
}

function App() {
  if (setup.value !== null) {
    const { code, userId } = setup.value;
    const done = () => {
      firstRun.value = userId === null;
      setup.value = null;
      return enter();
    };
    return userId === null ? html`<${MakeAdmin} code=${code} onSignedIn=${done} />` : html`<${SignIn} setup=${setup.value} onDone=${done} />`;
  }
  if (me.value === null && unreachable.value !== null) {
    return html`<main class="first" id="main" tabindex="-1"><p class="muted small">edgebotd</p><h1>${t("unreachable.title")}</h1><p role="status">${unreachable.value} ${t("unreachable.text")}</p></main>`;
  }
  const done = () => {
    trouble.value = null;
    logins.postMessage(null);
    return enter();
  };
  if (me.value === null) return ready.value ? html`<${SignIn} trouble=${trouble.value} onDone=${done} />` : null;
  const house = firstRun.value
    ? html`<${FirstBot} onDone=${(/** @type {string} */ to) => (navigate(to), (firstRun.value = false))} /><${Toasts} />`
    : html`<${Shell} />`;
  return html`<${House}>${house}<//>
    ${signedOut.value && html`<${SignIn} trouble=${trouble.value} ended onDone=${done} />`}`;
}

async function start() {
  // first.js counts there how often it has loaded the page again for this.
  sessionStorage.removeItem("edgebotd.tries");
  startSettings();
  startRouter();
  startHouse();
  startContainers();
  startTalk();
  startKeys();
  startFocus();
  await startLanguage();
  const app = /** @type {HTMLElement} */ (document.getElementById("app"));
  render(html`<${App} />`, app);
  effect(() => {
    if (signedOut.value) socket.stop();
  });
  // Another tab has logged in somebody else: nothing on this page is theirs.
  socket.on("gap", ({ reason }) => reason === "user" && location.reload());
  effect(() => {
    document.documentElement.dataset.line = socket.state.value.phase;
  });
  effect(() => {
    if (known.value) fetchSoon();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && me.value !== null && !signedOut.value) loadPreferences();
  });
  const code = takeCode();
  if (code) await redeem(code);
  if (setup.value === null) await enter();
}

start();
