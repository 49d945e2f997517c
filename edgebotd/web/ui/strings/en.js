// English: what every other language is held to. One file for each part of the page.

import accounts from "./en/accounts.js";
import admin from "./en/admin.js";
import chat from "./en/chat.js";
import container from "./en/container.js";
import pages from "./en/pages.js";
import shell from "./en/shell.js";
import work from "./en/work.js";

export default { ...accounts, ...shell, ...pages, ...container, ...chat, ...admin, ...work };
