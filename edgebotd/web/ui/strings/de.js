// German. One file for each part of the page.

import accounts from "./de/accounts.js";
import admin from "./de/admin.js";
import chat from "./de/chat.js";
import container from "./de/container.js";
import pages from "./de/pages.js";
import shell from "./de/shell.js";
import work from "./de/work.js";

export default { ...accounts, ...shell, ...pages, ...container, ...chat, ...admin, ...work };
