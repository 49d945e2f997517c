// One tab's part of the line: it leads, and then holds the stream and tells the others all that comes; or it follows.
//
// Tabs talk by BroadcastChannel, which keeps the order of one sender and is not slowed down in hidden tabs. Each time
// that a tab takes the lead there is a new term, higher than all before, and within a term the frames are numbered: so
// a tab knows that it missed some, and that a leader has been replaced. docs/page-socket.md tells the whole.

import { Seat } from "./seat.js";
import { Shares } from "./shares.js";
import { Snapshot } from "./snapshot.js";
import { Stream } from "./stream.js";
import { Trail } from "./trail.js";
import { Watch } from "./watch.js";

const CHANNEL = "edgebotd.line.1";

/** How long the first tab looks for a leader where no lock tells whether there is one. */
const LOOK_MS = 250;
/** Frames that wait for the tab to be primed; more count as missed. */
const WAITING = 2000;

/**
 * @typedef {import("../socket.js").BusEvent} BusEvent
 * @typedef {import("../socket.js").Hello} Hello
 * @typedef {import("../socket.js").Phase} Phase
 * @typedef {{phase: Phase, behind: number}} Weather
 * @typedef {{kind: "hello", hello: Hello} | {kind: "event", event: BusEvent, id: string | null} | {kind: "tick", id: string}} Frame
 * @typedef {{to: string, cursor: string, hello: Hello, events: BusEvent[]}} Prime
 * @typedef {{kind: "lead", cursor: string | null} | {kind: "frame", frame: Frame} | {kind: "prime", prime: Prime}
 *   | {kind: "state", weather: Weather} | {kind: "pong"}} FromLeader
 * @typedef {{kind: "join", tab: string} | {kind: "ping", wake: boolean} | {kind: "left", term: number} | {kind: "signed-out"}
 *   | {kind: "renew"} | {kind: "share", tab: string, share: import("./shares.js").Share}} FromAny
 * @typedef {FromAny | (FromLeader & {term: number, seq: number})} Message
 * @typedef {object} LineHooks
 * @property {(hello: Hello) => void} hello
 * @property {(gap: string | null, hello: Hello) => void} whole the snapshot has come; why something before it was missed
 * @property {(event: BusEvent) => void} event
 * @property {(phase: Phase, behind: number, leads: boolean) => void} state
 * @property {() => void} signedOut
 * @property {() => void} doubt another tab says that nobody is signed in; it may be an old word
 */

export class Line {
  #tab = Math.random().toString(36).slice(2);
  #channel = new BroadcastChannel(CHANNEL);
  #seat = new Seat({ lead: () => this.#lead(), lost: () => this.#deposed() });
  /** @type {Stream | null} while this tab leads */
  #stream = null;
  #trail = new Trail();
  #snapshot = new Snapshot();
  /** Newest term that was heard of, and the number of its newest frame that was taken here. */
  #term = 0;
  #seq = 0;
  /** Whether the frames that come continue what is known here. */
  #primed = false;
  /** Whether the snapshot is complete, and not in the middle of arriving. */
  #whole = false;
  /** @type {Frame[]} what came before this tab was primed */
  #waiting = [];
  /** @type {Set<string>} ids that a new leader may bring again */
  #passed = new Set();
  /** @type {Set<string>} tabs that wait for what a new one must know */
  #joiners = new Set();
  /** @type {string | null} why this tab is owed a gap, once it is right again */
  #owed = null;
  /** @type {Hello | null} */
  #hello = null;
  /** Who the events are for. @type {string | null} */
  #user = null;
  /** @type {Weather} */
  #weather = { phase: "connecting", behind: 0 };
  #away = false;
  #watch = new Watch({ ask: (wake) => this.#post({ kind: "ping", wake }), replace: () => this.#seat.steal() });
  #shares = new Shares((share) => this.#post({ kind: "share", tab: this.#tab, share }));
  #listening = new AbortController();

  /** @param {LineHooks} hooks @param {string | null} expected id of the user who is signed in in this tab, where known */
  constructor(hooks, expected) {
    this.hooks = hooks;
    this.expected = expected;
    const until = { signal: this.#listening.signal };
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#wake(), until);
    addEventListener("online", () => (this.#stream === null ? this.#wake() : this.#stream.renew()), until);
    addEventListener("offline", () => this.#stream?.renew(), until);
    document.addEventListener("freeze", () => this.#rest(), until);
    document.addEventListener("resume", () => this.#return(), until);
    addEventListener("pagehide", () => this.#rest(), until);
    addEventListener("pageshow", (event) => event.persisted && this.#return(), until);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#say("connecting", 0);
    this.#join();
    this.#watch.start();
    this.#seat.queue();
    if (!this.#seat.guarded) this.#watch.replace(LOOK_MS);
  }

  /** The newest cursor of what has been dispatched in this tab. */
  get cursor() {
    return this.#trail.at;
  }

  /** Have the browser's stream watch this too. @param {import("./shares.js").Share} share all that this tab wants */
  watch(share) {
    this.#shares.want(share);
  }

  /** @param {{signedOut?: boolean}} [options] */
  close({ signedOut = false } = {}) {
    this.#listening.abort();
    if (signedOut) this.#post({ kind: "signed-out" });
    this.#rest();
    this.#channel.close();
  }

  /** Step back without losing what is known: the tab is about to be frozen, kept for later, or closed. */
  #rest() {
    this.#away = true;
    this.#watch.stop();
    this.#shares.leave();
    if (this.#stream !== null) {
      this.#deposed();
      this.#post({ kind: "left", term: this.#term });
    }
    this.#seat.leave();
  }

  #return() {
    if (!this.#away) return;
    this.#away = false;
    this.#watch.start();
    this.#seat.queue();
    this.#shares.back();
    this.#wake();
  }

  // Leading.

  #lead() {
    this.#watch.stop();
    // With a fraction, as two tabs may say it at once where no lock decides.
    this.#term = Math.max(this.#term + 1, Date.now()) + Math.random();
    this.#seq = 0;
    this.#passed.clear();
    if (this.#whole) {
      // The stream brings all that came after the cursor, missed or not.
      this.#waiting = [];
      this.#owed = null;
    } else {
      this.#deliver(this.#waiting);
      this.#trail.restart(null);
    }
    this.#primed = true;
    this.#tell({ kind: "lead", cursor: this.#trail.at });
    this.#stream = this.#begin();
  }

  #begin() {
    /** @type {import("./stream.js").StreamHooks} */
    const hooks = {
      cursor: () => this.#trail.at,
      hello: (hello) => this.#greeted(hello),
      event: (event, id) => this.#pass({ kind: "event", event, id }),
      tick: (id) => this.#pass({ kind: "tick", id }),
      phase: (phase, behind = 0) => {
        this.#say(phase, behind);
        this.#tell({ kind: "state", weather: this.#weather });
      },
      signedOut: () => this.hooks.signedOut(),
    };
    return new Stream(hooks, this.#weather.phase === "polling");
  }

  /** @param {Hello} hello */
  #greeted(hello) {
    const before = this.#user;
    this.#user = hello.user ?? before;
    if (before !== null && before !== this.#user) {
      // Somebody else has logged in: what follows after the cursor is only half of what they may see.
      this.#owed = "user";
      this.#whole = false;
      this.#trail.restart(null);
      this.#stream?.close();
      this.#stream = this.#begin();
      return;
    }
    this.#pass({ kind: "hello", hello });
    this.#shares.lead(hello.streamId);
  }

  /** @param {Frame} frame */
  #pass(frame) {
    this.#seq++;
    this.#tell({ kind: "frame", frame });
    this.#take(frame);
  }

  #prime() {
    const cursor = this.#trail.at;
    if (!this.#whole || cursor === null || this.#hello === null) return;
    for (const to of this.#joiners) {
      this.#tell({ kind: "prime", prime: { to, cursor, hello: this.#hello, events: this.#snapshot.events() } });
    }
    this.#joiners.clear();
  }

  /** Lead no more. */
  #deposed() {
    if (this.#stream === null) return;
    this.#stream.close();
    this.#stream = null;
    this.#shares.lead(null);
    this.#joiners.clear();
    this.#primed = this.#whole;
    if (!this.#away) this.#watch.start();
    this.#say(this.#weather.phase, this.#weather.behind);
  }

  // Following.

  /** @param {Message} message */
  #hear(message) {
    const leads = this.#stream !== null;
    if (message.kind === "ping") {
      if (leads) {
        this.#tell({ kind: "pong" });
        this.#stream?.check(message.wake);
      }
    } else if (message.kind === "join") {
      if (leads) {
        this.#joiners.add(message.tab);
        this.#tell({ kind: "state", weather: this.#weather });
        this.#prime();
      }
    } else if (message.kind === "renew") {
      this.#stream?.renew();
    } else if (message.kind === "left") {
      if (!leads && !this.#away && !this.#seat.guarded && message.term === this.#term) this.#watch.replace();
    } else if (message.kind === "share") {
      this.#shares.heard(message.tab, message.share);
    } else if (message.kind === "signed-out") {
      this.hooks.doubt();
    } else if (message.term < this.#term) {
      // A leader that does not know yet that it is none. Without locks it learns it so.
      if (leads && message.kind === "lead") this.#tell({ kind: "lead", cursor: this.#trail.at });
    } else {
      this.#follow(message);
    }
  }

  /** @param {FromLeader & {term: number, seq: number}} message */
  #follow(message) {
    this.#watch.heard();
    if (message.term > this.#term) {
      this.#deposed();
      this.#shares.repeat();
      this.#term = message.term;
      this.#seq = message.seq - (message.kind === "frame" ? 1 : 0);
      const cursor = message.kind === "lead" ? message.cursor : null;
      const passed = this.#trail.since(cursor);
      if (this.#primed && passed !== null) this.#passed = new Set(passed);
      else if (message.kind === "prime" && message.prime.to === this.#tab) this.#primed = false;
      else this.#missed();
    }
    if (message.kind === "state") this.#say(message.weather.phase, message.weather.behind);
    else if (message.kind === "prime") this.#primedBy(message.prime, message.seq);
    else if (message.kind === "frame" && !this.#primed) this.#wait(message.frame);
    else if (message.kind === "frame" && message.seq === this.#seq + 1) {
      this.#seq++;
      this.#take(message.frame);
    } else if (this.#primed && message.seq !== this.#seq) {
      this.#missed();
      if (message.kind === "frame") this.#wait(message.frame);
    }
  }

  /** This tab does not know what it must: ask for it. */
  #missed() {
    if (this.#trail.at !== null) this.#owed ??= "missed";
    this.#primed = false;
    this.#join();
  }

  #join() {
    this.#post({ kind: "join", tab: this.#tab });
  }

  /** @param {Frame} frame */
  #wait(frame) {
    this.#waiting.push(frame);
    if (this.#waiting.length <= WAITING) return;
    this.#waiting = [];
    this.#owed ??= "missed";
  }

  /** @param {Prime} prime @param {number} seq */
  #primedBy({ to, cursor, hello, events }, seq) {
    if (to !== this.#tab || this.#primed) return;
    this.#hello = hello;
    this.#user = hello.user ?? this.#user;
    this.hooks.hello({ ...hello, verdict: this.#owed === null ? "fresh" : "gap", reason: this.#owed ?? undefined });
    this.#deliver(this.#waiting);
    const passed = this.#trail.since(cursor);
    if (passed === null) this.#trail.restart(cursor);
    this.#passed = new Set(passed ?? []);
    this.#snapshot.clear();
    for (const event of events) {
      this.#snapshot.fold(event);
      this.hooks.event(event);
    }
    this.#seq = seq;
    this.#primed = true;
    this.#settle();
    // Somebody else has logged in since the stream began.
    if (this.expected !== null && this.#user !== null && this.expected !== this.#user) this.#post({ kind: "renew" });
  }

  /** Pass on what no snapshot holds of what came before this tab was primed. @param {Frame[]} frames */
  #deliver(frames) {
    this.#waiting = [];
    /** @type {Set<string>} */
    const seen = new Set();
    for (const frame of frames) {
      if (frame.kind !== "event" || Snapshot.holds(frame.event.type)) continue;
      if (frame.id !== null && (seen.has(frame.id) || this.#trail.has(frame.id))) continue;
      if (frame.id !== null) seen.add(frame.id);
      this.hooks.event(frame.event);
    }
  }

  // Both.

  /** @param {Frame} frame */
  #take(frame) {
    if (frame.kind === "hello") {
      const { hello } = frame;
      if (hello.verdict !== "exact") {
        const another = this.#user !== null && hello.user !== null && this.#user !== hello.user;
        if (hello.verdict === "gap" || this.#trail.at !== null) this.#owed = another ? "user" : (hello.reason ?? "new");
        this.#whole = false;
        this.#snapshot.clear();
      }
      this.#hello = hello;
      this.#user = hello.user ?? this.#user;
      this.hooks.hello(hello);
      return;
    }
    // Had already, from the leader before.
    if (frame.id !== null && this.#passed.has(frame.id)) return;
    if (frame.kind === "event") {
      this.#snapshot.fold(frame.event);
      this.hooks.event(frame.event);
    }
    if (frame.id === null) return;
    this.#trail.note(frame.id);
    // Only the last frame of a snapshot has an id.
    if (!this.#whole) this.#settle();
  }

  /** All is known that a new tab must know. */
  #settle() {
    this.#whole = true;
    const reason = this.#owed;
    this.#owed = null;
    if (this.#hello !== null) this.hooks.whole(reason, this.#hello);
    if (this.#stream !== null) this.#prime();
  }

  /** @param {Phase} phase @param {number} behind */
  #say(phase, behind) {
    this.#weather = { phase, behind };
    this.hooks.state(phase, behind, this.#stream !== null);
  }

  /** @param {FromLeader} message */
  #tell(message) {
    this.#post({ ...message, term: this.#term, seq: this.#seq });
  }

  /** @param {Message} message */
  #post(message) {
    this.#channel.postMessage(message);
  }

  #wake() {
    if (this.#stream === null) this.#watch.wake();
    else this.#stream.check(true);
  }
}
