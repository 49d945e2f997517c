// The one stream of this browser: EventSource, watched, and long polling where something on the way holds it back.
//
// What is due is decided in `check`, by the clock. Timers only call it; so does whatever else shows that the tab runs,
// because the timers of a hidden tab come late.

import { call, query } from "../api.js";
import { backoff } from "./backoff.js";
import { Burst } from "./burst.js";
import { Poll } from "./poll.js";

/** How long an attempt may take until `hello`. */
const HELLO_MS = 10_000;
/** Heartbeats that may be missing, with a half for the way. */
const MISSED = 2.5;
/** How long the daemon may ask to stay away; it says so by `retry:`, which scripts are not shown. */
const TOLD_MS = 60_000;
/** After so many silences in a row something on the way is taken to hold the stream back. */
const SILENCES = 2;
const AGAIN_MS = [60_000, 300_000];
/** A timer that comes later than this says that the tab or the machine slept. */
const LATE_MS = 5000;
/** Events like `online` and `visibilitychange` come together. */
const WAKE_MS = 1000;

/**
 * @typedef {import("../socket.js").BusEvent} BusEvent
 * @typedef {import("../socket.js").Hello} Hello
 * @typedef {import("../socket.js").Phase} Phase
 * @typedef {object} StreamHooks
 * @property {() => string | null} cursor where to resume
 * @property {(hello: Hello) => void} hello
 * @property {(event: BusEvent, id: string | null) => void} event
 * @property {(id: string) => void} tick the cursor moved without an event
 * @property {(phase: Phase, behind?: number) => void} phase
 * @property {() => void} signedOut
 */

export class Stream {
  /** @type {EventSource | null} */
  #source = null;
  /** @type {Poll | null} */
  #poll = null;
  /** @type {EventSource | null} asks, while polling, whether streams pass again */
  #probe = null;
  #probes = 0;
  #probeAt = 0;
  /** @type {number | null} when to connect, where that waits */
  #dueAt = null;
  /** When the attempt began that has had no `hello` yet. */
  #triedAt = 0;
  #greeted = false;
  /** Whether the daemon said that it ends this stream, and with that when to come back. */
  #told = false;
  #busy = false;
  #heardAt = 0;
  #beatMs = 15_000;
  #failures = 0;
  #silences = 0;
  #closed = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer = undefined;
  #timerAt = 0;
  #burst = new Burst((behind) => this.hooks.phase(behind === 0 ? "live" : "catching-up", behind));

  /** @param {StreamHooks} hooks @param {boolean} heldBack another tab has found out that streams are */
  constructor(hooks, heldBack) {
    this.hooks = hooks;
    if (heldBack) this.#startPolling();
    else this.#connect();
  }

  close() {
    this.#closed = true;
    this.#drop();
    this.#stopPolling();
    clearTimeout(this.#timer);
  }

  /**
   * Do what is due.
   *
   * @param {boolean} [wake] somebody looks, or the network is back: do not wait for the next attempt
   */
  check(wake = false) {
    if (this.#closed) return;
    const now = Date.now();
    const slept = now - this.#timerAt > LATE_MS;
    const stale = wake && now - this.#triedAt > WAKE_MS;
    if (this.#poll !== null) {
      if (now >= this.#dueProbe() || (stale && this.#probe === null)) this.#ask();
    } else if (this.#dueAt !== null) {
      if (now >= this.#dueAt || stale) this.#connect();
    } else if (now >= this.#deadline()) {
      this.#silent(slept);
    } else if (!this.#greeted && stale && !this.#told) {
      this.#connect();
    }
    this.#arm();
  }

  /** The network has gone or come, says the browser, which may be wrong where the daemon is on this machine: try. */
  renew() {
    if (this.#closed) return;
    if (this.#poll !== null && navigator.onLine) {
      if (this.#probe === null) this.#ask();
      return;
    }
    this.#stopPolling();
    this.#connect();
  }

  #connect() {
    this.#drop();
    this.#dueAt = null;
    this.#triedAt = Date.now();
    this.#told = false;
    if (!this.#busy) this.#away();
    const source = (this.#source = this.#open());
    let last = "";
    /** @param {MessageEvent} event @returns {string | null} the id of this very frame */
    const heard = (event) => {
      this.#heardAt = Date.now();
      const id = event.lastEventId === last ? null : event.lastEventId;
      last = event.lastEventId;
      return id || null;
    };
    source.addEventListener("hello", (event) => {
      heard(event);
      this.#hello(JSON.parse(event.data));
    });
    source.onmessage = (event) => {
      const id = heard(event);
      this.#burst.count();
      this.hooks.event(JSON.parse(event.data), id);
    };
    source.addEventListener("hb", (event) => {
      const id = heard(event);
      // In time, so nothing on the way holds the stream back.
      this.#silences = 0;
      if (id !== null) this.hooks.tick(id);
    });
    source.addEventListener("bye", (event) => {
      const id = heard(event);
      if (id !== null) this.hooks.tick(id);
      this.#told = true;
      const { reason } = JSON.parse(event.data);
      if (reason === "revoked" || reason === "session") this.#refused();
    });
    source.addEventListener("busy", () => {
      this.#told = this.#busy = true;
      this.hooks.phase("busy");
    });
    source.onerror = () => this.#broken(source);
    this.#arm();
  }

  #open() {
    return new EventSource(`/api/events${query({ lastEventId: this.hooks.cursor() })}`);
  }

  /** @param {Hello} hello */
  #hello(hello) {
    this.#greeted = true;
    this.#told = this.#busy = false;
    this.#failures = 0;
    if (hello.heartbeatSeconds) this.#beatMs = hello.heartbeatSeconds * 1000;
    this.#burst.start();
    this.hooks.phase("live");
    this.hooks.hello(hello);
    this.#arm();
  }

  /** @param {EventSource} source */
  #broken(source) {
    this.#burst.stop();
    this.#greeted = false;
    this.#triedAt = Date.now();
    if (!this.#busy) this.#away();
    // Any answer but a stream ends an EventSource for good.
    if (source.readyState === EventSource.CLOSED) this.#refused();
    // It comes back by itself, when the daemon told it to; after failures, when we do.
    else if (!this.#told && ++this.#failures > 1) this.#later();
    else this.#arm();
  }

  /** Find out why there is no stream. */
  async #refused() {
    this.#drop();
    this.#dueAt = Infinity;
    try {
      await call("GET", "/api/me", undefined, { signal: AbortSignal.timeout(HELLO_MS) });
    } catch (error) {
      if (isSignedOut(error)) {
        if (!this.#closed) this.hooks.signedOut();
        return;
      }
    }
    if (this.#closed || this.#source !== null) return;
    this.#failures++;
    this.#away();
    this.#later();
  }

  /** @param {boolean} slept while nothing could be heard */
  #silent(slept) {
    if (!slept) this.#silences++;
    if (this.#silences >= SILENCES) this.#startPolling();
    else this.#connect();
  }

  #later() {
    this.#drop();
    this.#dueAt = Date.now() + backoff(this.#failures);
    this.#arm();
  }

  #startPolling() {
    this.#drop();
    this.#dueAt = null;
    this.#probes = 0;
    this.#probeAt = Date.now();
    this.#poll = new Poll(this.hooks.cursor, {
      answer: (answer, first) => this.#answer(answer, first),
      failed: (error) => this.#unpolled(error),
    });
    this.#arm();
  }

  /** @param {unknown} error */
  #unpolled(error) {
    this.#stopPolling();
    if (isSignedOut(error)) {
      this.hooks.signedOut();
      return;
    }
    // Nothing passes at all, so it was not the stream that was held back.
    this.#silences = 0;
    this.#failures++;
    this.#away();
    this.#later();
  }

  /** @param {import("./poll.js").Answer} answer @param {boolean} first */
  #answer({ verdict, reason, cursor, events }, first) {
    if (first) this.hooks.phase("polling");
    if (first || verdict !== "exact") {
      this.hooks.hello({ verdict, ...(reason && { reason }), epoch: null, streamId: null, heartbeatSeconds: null, user: null });
    }
    events.forEach((event, place) => this.hooks.event(event, place === events.length - 1 ? cursor : null));
    if (events.length === 0) this.hooks.tick(cursor);
  }

  #stopPolling() {
    this.#probe?.close();
    this.#probe = null;
    this.#poll?.stop();
    this.#poll = null;
  }

  /** Ask whether streams pass again, or give up asking. */
  #ask() {
    this.#probeAt = Date.now();
    if (this.#probe !== null) {
      this.#probe.close();
      this.#probe = null;
      this.#probes++;
      return;
    }
    this.#triedAt = Date.now();
    const probe = (this.#probe = this.#open());
    probe.addEventListener("hello", () => {
      // Not continued, as the poll has gone on since it was asked for.
      this.#stopPolling();
      this.#silences = SILENCES - 1;
      this.#connect();
    });
    probe.onerror = () => {
      if (this.#probe === probe) this.#ask();
    };
  }

  #dueProbe() {
    const wait = this.#probe === null ? Math.min(AGAIN_MS[0] * 2 ** this.#probes, AGAIN_MS[1]) : HELLO_MS;
    return this.#probeAt + wait;
  }

  #deadline() {
    if (this.#greeted) return this.#heardAt + MISSED * this.#beatMs;
    return this.#triedAt + (this.#told ? TOLD_MS : HELLO_MS);
  }

  #drop() {
    this.#source?.close();
    this.#source = null;
    this.#greeted = false;
    this.#burst.stop();
  }

  #away() {
    this.hooks.phase(navigator.onLine ? "connecting" : "offline");
  }

  #arm() {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    const at = this.#poll !== null ? this.#dueProbe() : (this.#dueAt ?? this.#deadline());
    if (at === Infinity) return;
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.check(), Math.max(0, at - Date.now()));
  }
}

/** @param {unknown} error */
function isSignedOut(error) {
  return error instanceof Error && "status" in error && error.status === 401;
}
