// Whose this browser's things are.

import { me } from "../house.js";

/** What this user's things are stored under, so that the next one at this browser does not find them. */
export const owner = () => String(me.value?.userId ?? "");
