// The end of a login.

import { call } from "./api.js";
import { socket } from "./socket.js";

/** Log out, and begin anew: nothing of this person stays in the tab. */
export async function signOut() {
  socket.stop();
  await call("POST", "/api/logout").catch(() => {});
  location.assign("/");
}
