// The channel on the page's side: everything live reaches components by `socket.on(type, handler)`, and no component
// knows the transport.

import { signal, useEffect, useRef } from "./lib.js";

/**
 * @typedef {{type: string, [key: string]: any}} BusEvent an event of the catalogue; what travels (docs/channel.md)
 * @typedef {(event: any) => void} Handler
 * @typedef {"idle" | "connecting" | "live" | "catching-up" | "polling" | "offline" | "busy" | "signed-out"} Phase
 * @typedef {{phase: Phase, since: number, verdict: string | null, epoch: string | null, leads: boolean, behind: number}} LineState
 */

class Socket {
  /** What the line is at; a signal. `since` is Unix milliseconds. */
  state = signal(/** @type {LineState} */ ({
    phase: "idle", since: Date.now(), verdict: null, epoch: null, leads: false, behind: 0,
  }));

  /** @type {Map<string, Set<Handler>>} */
  #handlers = new Map();
  /** @type {EventSource | null} */
  #source = null;

  /**
   * Have a handler called with each event of a type: one of the catalogue, `*` for all of these, or of the line itself:
   * `hello` (with its data), `gap` (something was missed: read again what is not in the snapshot).
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

  /** Open the line, or join the one that another tab holds. */
  start() {
    if (this.#source !== null) return;
    this.#turn("connecting");
    const source = (this.#source = new EventSource("/api/events"));
    source.addEventListener("hello", (event) => {
      const hello = JSON.parse(event.data);
      this.state.value = { ...this.state.value, phase: "live", since: Date.now(), verdict: hello.verdict, epoch: hello.epoch, leads: true };
      this.#tell("hello", hello);
      if (hello.verdict === "gap") this.#tell("gap", hello);
    });
    source.onmessage = (event) => this.#take(JSON.parse(event.data));
    source.onerror = () => this.#turn(source.readyState === EventSource.CLOSED ? "signed-out" : "connecting");
  }

  /** Close this tab's part of it. */
  stop() {
    this.#source?.close();
    this.#source = null;
    this.#turn("idle");
  }

  /** @param {Phase} phase */
  #turn(phase) {
    if (this.state.value.phase !== phase) this.state.value = { ...this.state.value, phase, since: Date.now() };
  }

  /** @param {BusEvent} event */
  #take(event) {
    this.#tell(event.type, event);
    this.#tell("*", event);
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
