// How the container engine is, what runs in it and what it pulls: as the channel told it last.

import { signal } from "./lib.js";
import { socket } from "./socket.js";

/**
 * @typedef {{state: "up" | "down" | "frozen" | "unknown" | "none", kind?: string | null, version?: string | null, detail?: string | null,
 *   sinceAt: number}} Engine
 * @typedef {{image: string, bytesDone: number, bytesTotal?: number | null, layersDone: number, layers: number}} Pull
 * @typedef {{engine: Engine, containers: {name: string, botId?: string | null, image?: string | null, state: string, [key: string]: any}[],
 *   pulls: Pull[]}} Docker `docker:status`
 */

/** Null until it is told. */
export const docker = signal(/** @type {Docker | null} */ (null));

// From the start: the snapshot tells it once.
socket.on("docker:status", (event) => (docker.value = event));

/** Whether containers can be made here at all. */
export const canMake = () => docker.value !== null && docker.value.engine.state !== "none";

/** Whether a bot's container was made for it, as its name tells: it goes with the bot. @param {string} botId */
export const madeHere = (botId) => docker.value?.containers.some((one) => one.botId === botId && one.name === `edgebotd-${botId}`) ?? false;
