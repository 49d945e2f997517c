// The channel on the page's side: everything live reaches components by `socket.on(type, handler)`, and no component
// knows the transport. docs/page-socket.md tells what it promises.

import { call, signedOut } from "./api.js";
import { signal, useEffect, useRef } from "./lib.js";
import { Line } from "./line/line.js";
import { sum } from "./line/shares.js";

/**
 * @typedef {{type: string, [key: string]: any}} BusEvent an event of the catalogue; what travels (docs/channel.md)
 * @typedef {(event: any) => void} Handler
 * @typedef {"idle" | "connecting" | "live" | "catching-up" | "polling" | "offline" | "busy" | "signed-out"} Phase
 * @typedef {{verdict: string, reason?: string, epoch: string | null, streamId: string | null, heartbeatSeconds: number | null,
 *   user: string | null}} Hello what begins a stream; while polling only the verdict is known
 * @typedef {{phase: Phase, since: number, verdict: string | null, epoch: string | null, leads: boolean, behind: number}} LineState
 */

class Socket {
  /**
   * What the line is at; a signal. `since` is Unix milliseconds, `leads` whether this tab holds the stream, `behind` how
   * many missed events have come so far while catching up.
   */
  state = signal(/** @type {LineState} */ ({
    phase: "idle", since: Date.now(), verdict: null, epoch: null, leads: false, behind: 0,
  }));

  /** The stream that this browser has now; `watch` is what to do with it. @type {string | null} */
  streamId = null;

  /** @type {Map<string, Set<Handler>>} */
  #handlers = new Map();
  /** @type {Line | null} */
  #line = null;
  /** @type {Set<import("./line/shares.js").Share>} */
  #watched = new Set();
  #stopped = false;
  #doubting = false;

  /** Where this tab is in the stream: the cursor of the newest event that its handlers were called with. */
  get cursor() {
    return this.#line?.cursor ?? null;
  }

  /**
   * Have a handler called with each event of a type: one of the catalogue, `*` for all of these, or of the line itself:
   * `hello` (with its data), `gap` (something was missed: read again what is not in the snapshot, which has just come).
   *
   * @param {string} type @param {Handler} handler
   * @returns {() => void} takes it off again
   */
  on(type, handler) {
    let handlers = this.#handlers.get(type);
    if (handlers === undefined) this.#handlers.set(type, (handlers = new Set()));
    handlers.add(handler);
    return () => this.off(type, handler);
  }

  /** @param {string} type @param {Handler} handler */
  off(type, handler) {
    this.#handlers.get(type)?.delete(handler);
  }

  /** As `on`, for one event. @param {string} type @param {Handler} handler @returns {() => void} */
  once(type, handler) {
    const off = this.on(type, (event) => {
      off();
      handler(event);
    });
    return off;
  }

  /**
   * Have the daemon send what it sends only while somebody looks: the log lines and the figures of bots. All that the
   * tabs of this browser watch is asked for, on each stream anew.
   *
   * @param {{logs?: string[], stats?: string[]}} bots their ids
   * @returns {() => void} ends it
   */
  watch({ logs = [], stats = [] }) {
    const share = { logs, stats };
    this.#watched.add(share);
    this.#line?.watch(sum(this.#watched));
    return () => {
      if (this.#watched.delete(share)) this.#line?.watch(sum(this.#watched));
    };
  }

  /**
   * Open the line, or join the one that another tab holds.
   *
   * @param {string} [user] id of who is signed in, where known: a stream that another tab began for somebody else is renewed
   */
  start(user) {
    if (this.#line !== null) return;
    let missed = this.#stopped;
    /** @type {import("./line/line.js").LineHooks} */
    const hooks = {
      hello: (hello) => {
        this.streamId = hello.streamId;
        this.state.value = { ...this.state.value, verdict: hello.verdict, epoch: hello.epoch ?? this.state.value.epoch };
        this.#tell("hello", hello);
      },
      // Handlers that lived through a stop missed what came meanwhile.
      whole: (reason, hello) => {
        const why = reason ?? (missed ? "stopped" : null);
        missed = false;
        if (why !== null) this.#tell("gap", { ...hello, verdict: "gap", reason: why });
      },
      event: (event) => {
        this.#tell(event.type, event);
        this.#tell("*", event);
      },
      state: (phase, behind, leads) => this.#turn(phase, behind, leads),
      signedOut: () => {
        signedOut.value = true;
        this.stop();
      },
      doubt: () => this.#doubt(),
    };
    this.#line = new Line(hooks, user ?? null);
    if (this.#watched.size > 0) this.#line.watch(sum(this.#watched));
  }

  async #doubt() {
    if (this.#doubting) return;
    this.#doubting = true;
    // Says by itself that nobody is signed in.
    await call("GET", "/api/me").catch(() => {});
    this.#doubting = false;
    if (signedOut.value) this.stop();
  }

  /** Close this tab's part of it. Nothing is kept: a later start begins anew. */
  stop() {
    const line = this.#line;
    if (line === null) return;
    this.#line = null;
    this.#stopped = true;
    this.streamId = null;
    line.close({ signedOut: signedOut.value });
    this.#turn(signedOut.value ? "signed-out" : "idle", 0, false);
  }

  /** @param {Phase} phase @param {number} behind @param {boolean} leads */
  #turn(phase, behind, leads) {
    const now = this.state.value;
    if (now.phase === phase && now.behind === behind && now.leads === leads) return;
    this.state.value = { ...now, phase, behind, leads, since: now.phase === phase ? now.since : Date.now() };
  }

  /** @param {string} type @param {any} event */
  #tell(type, event) {
    for (const handler of [...(this.#handlers.get(type) ?? [])]) {
      try {
        handler(event);
      } catch (error) {
        // One component's bug must not keep the event from the others.
        reportError(error);
      }
    }
  }
}

export const socket = new Socket();

/**
 * Call a handler with each event of a type while the component is shown; always the newest handler.
 *
 * @param {string} type @param {Handler} handler
 */
export function useSocketEvent(type, handler) {
  const newest = useRef(handler);
  newest.current = handler;
  useEffect(() => socket.on(type, (event) => newest.current(event)), [type]);
}
