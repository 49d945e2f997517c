// The first page: logs in, lists the bots, shows the live stream, sends a message. Everything that came from elsewhere
// enters the document as text, never as markup.

const at = (id) => document.getElementById(id);
const LONGEST_LIST = 200;
const RETRY_MS = 2000;

/** Call the API; throw what it says in words. */
async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  const answer = text ? JSON.parse(text) : null;
  if (!response.ok) throw Object.assign(new Error(answer?.detail ?? response.statusText), { status: response.status, ...answer });
  return answer;
}

const tell = (text) => { at("message").textContent = text; };

function add(list, text, className = "") {
  const item = document.createElement("li");
  item.textContent = text;
  item.className = className;
  list.append(item);
  while (list.children.length > LONGEST_LIST) list.firstChild.remove();
  return item;
}

// Getting in

/** Take the one-time code out of the address at once, so that it stays in no history. */
function takeCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code) history.replaceState(null, "", location.pathname);
  return code;
}

function askLogin(title, submit, fixedUser = null) {
  const form = at("login");
  at("login-title").textContent = title;
  form.userId.parentElement.hidden = fixedUser !== null;
  form.hidden = false;
  at("house").hidden = true;
  form.onsubmit = async (event) => {
    event.preventDefault();
    tell("");
    try {
      await submit({ userId: fixedUser ?? form.userId.value, password: form.password.value });
      form.reset();
      form.hidden = true;
      await enter();
    } catch (error) {
      tell(error.message);
    }
  };
}

async function start() {
  const code = takeCode();
  if (code) {
    try {
      await call("POST", "/api/setup", { code });
    } catch (error) {
      if (error.code !== "setup_incomplete") tell(error.message);
      else {
        askLogin(error.detail, (typed) => call("POST", "/api/setup", { code, ...typed }), error.userId);
        return;
      }
    }
  }
  await enter();
}

async function enter() {
  let me;
  try {
    me = await call("GET", "/api/me");
  } catch (error) {
    if (error.status === 401) askLogin("Log in", (typed) => call("POST", "/api/login", typed));
    else setTimeout(enter, RETRY_MS); // a restart, or a proxy that speaks for the daemon: who is logged in stays so
    return;
  }
  at("house").hidden = false;
  at("logout").hidden = me.kind !== "session";
  listen();
}

// The channel

let stream = null;
const replies = new Map();

function listen() {
  stream?.close();
  stream = new EventSource("/api/events");
  const say = (text) => { at("connection").textContent = text; };
  say("connecting …");
  stream.addEventListener("hello", (event) => say(`live (${JSON.parse(event.data).verdict})`));
  stream.addEventListener("bye", () => say("reconnecting …"));
  stream.addEventListener("busy", () => say("the daemon is busy; waiting …"));
  stream.onmessage = (event) => take(JSON.parse(event.data));
  stream.onerror = () => {
    say("reconnecting …");
    // EventSource gives up for good on a refusal: the session has ended.
    if (stream.readyState === EventSource.CLOSED) enter();
  };
}

function take(event) {
  const line = add(at("events"), JSON.stringify(event));
  line.parentElement.scrollTop = line.parentElement.scrollHeight;
  handlers[event.type]?.(event);
}

const handlers = {
  "bots-status-update": ({ bots }) => {
    at("bots").replaceChildren();
    const select = at("send").bot;
    const chosen = select.value;
    select.replaceChildren();
    for (const bot of bots) {
      const item = add(at("bots"), bot.name);
      const state = document.createElement("span");
      state.className = "state";
      state.textContent = [bot.state, bot.activity === "idle" ? "" : bot.activity, bot.detail].filter(Boolean).join(" · ");
      item.append(state);
      select.append(new Option(bot.name, bot.botId));
    }
    if (chosen) select.value = chosen;
  },
  "chat-delta": ({ runId, offset, text }) => {
    const reply = replyOf(runId);
    reply.textContent = reply.textContent.slice(0, offset) + text;
  },
  "chat-message": ({ message }) => {
    const item = message.role === "assistant" ? replyOf(message.runId) : replyOf(message.id, "user");
    item.textContent = message.parts.map((part) => part.text ?? part.message ?? `[${part.name ?? part.type}]`).join("\n");
  },
};

function replyOf(key, className = "assistant") {
  if (!replies.has(key)) replies.set(key, add(at("chat"), "", className));
  return replies.get(key);
}

const conversations = new Map();

at("send").onsubmit = async (event) => {
  event.preventDefault();
  const form = event.target;
  tell("");
  try {
    const answer = await call("POST", `/api/bots/${encodeURIComponent(form.bot.value)}/chat/send`, {
      text: form.text.value,
      conversationId: conversations.get(form.bot.value) ?? null,
      idempotencyKey: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`,
    });
    conversations.set(form.bot.value, answer.conversationId);
    form.text.value = "";
    if (answer.detail) tell(answer.detail);
  } catch (error) {
    tell(error.message);
  }
};

at("logout").onclick = async () => {
  stream?.close();
  await call("POST", "/api/logout").catch(() => {});
  location.reload();
};

start();
