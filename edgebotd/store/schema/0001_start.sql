-- Times are Unix milliseconds. Flags are 0 or 1. Lists and objects are JSON.

CREATE TABLE installation (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    id         TEXT NOT NULL,
    epoch      TEXT NOT NULL,
    cursor_key BLOB NOT NULL CHECK (length(cursor_key) = 32),
    life       INTEGER NOT NULL,
    life_began_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

-- A removed user stays as a tombstone, so that the id is never given to someone else.
CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    admin         INTEGER NOT NULL,
    password_hash TEXT,
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER,
    removed_at    INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE grants (
    user_id TEXT NOT NULL REFERENCES users (id),
    bot_id  TEXT NOT NULL,
    level   INTEGER NOT NULL,
    PRIMARY KEY (user_id, bot_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id          TEXT PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES users (id),
    secret_hash BLOB NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    address     TEXT,
    user_agent  TEXT
) STRICT;
CREATE INDEX sessions_of_user ON sessions (user_id);

CREATE TABLE tokens (
    id          TEXT PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES users (id),
    name        TEXT NOT NULL,
    secret_hash BLOB NOT NULL UNIQUE,
    scopes      TEXT NOT NULL,
    bots        TEXT,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    used_at     INTEGER
) STRICT;
CREATE INDEX tokens_of_user ON tokens (user_id);

CREATE TABLE codes (
    hash       BLOB PRIMARY KEY,
    purpose    TEXT NOT NULL CHECK (purpose IN ('setup', 'login')),
    user_id    TEXT,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT, WITHOUT ROWID;

-- The number stands for the bot in keys of messages. A removed bot stays as a tombstone.
CREATE TABLE bots (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    settings   TEXT NOT NULL,
    origin     TEXT NOT NULL CHECK (origin IN ('file', 'store')),
    created_at INTEGER NOT NULL,
    removed_at INTEGER
) STRICT;

CREATE TABLE conversations (
    id          TEXT PRIMARY KEY,
    bot_id      TEXT NOT NULL REFERENCES bots (id),
    session_key TEXT NOT NULL,
    title       TEXT,
    source      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    deleted_at  INTEGER,
    UNIQUE (bot_id, session_key)
) STRICT;
CREATE INDEX conversations_by_update ON conversations (bot_id, updated_at, id) WHERE deleted_at IS NULL;

CREATE TABLE read_markers (
    user_id         TEXT NOT NULL,
    conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    seq             INTEGER NOT NULL,
    PRIMARY KEY (user_id, conversation_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX read_markers_of_conversation ON read_markers (conversation_id);

-- The last seq that a message got. Never taken from max(): the seq of a deleted message must not come again.
CREATE TABLE message_seq (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    value    INTEGER NOT NULL
) STRICT;
INSERT INTO message_seq VALUES (1, 0);

-- key = (number of the bot << 40) | seq: a bot's history is one range of the table, newest last, and the key is the
-- rowid of the search index, so that a search in some bots reads their ranges of a word's list and nothing else.
CREATE TABLE messages (
    key             INTEGER PRIMARY KEY,
    id              TEXT NOT NULL,
    bot_number      INTEGER NOT NULL,
    conversation_id TEXT NOT NULL REFERENCES conversations (id),
    run_id          TEXT NOT NULL,
    role            TEXT NOT NULL,
    state           TEXT NOT NULL,
    source          TEXT NOT NULL,
    user_id         TEXT,
    created_at      INTEGER NOT NULL,
    edited_at       INTEGER,
    parts           TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_by_run ON messages (run_id, role, conversation_id);
CREATE UNIQUE INDEX messages_by_id ON messages (id, bot_number);
CREATE INDEX messages_of_conversation ON messages (conversation_id);

-- Ids of rows in a bot's own history that are stored already.
CREATE TABLE external_keys (
    bot_number  INTEGER NOT NULL,
    key         TEXT NOT NULL,
    message_key INTEGER NOT NULL REFERENCES messages (key) ON DELETE CASCADE,
    PRIMARY KEY (bot_number, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX external_keys_of_message ON external_keys (message_key);

-- Holds no text of its own: the words come prepared (store/words.py), so unicode61 only splits at spaces. Marks count
-- as letters for scripts that write vowels with them; private-use characters do not occur.
CREATE VIRTUAL TABLE message_words USING fts5 (
    words, content = '', columnsize = 0, prefix = '2 3 4',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M* Co'"
);

-- Messages whose words are not in the index yet; `old` is the text that the index has for them. Emptied at the end of
-- each group of writes: FTS5 writes a segment at each savepoint, which would cost one per message.
CREATE TABLE search_queue (
    key INTEGER PRIMARY KEY,
    old TEXT
) STRICT;

CREATE TABLE turns (
    run_id          TEXT PRIMARY KEY,
    bot_id          TEXT NOT NULL REFERENCES bots (id),
    conversation_id TEXT NOT NULL,
    principal       TEXT NOT NULL,
    idempotency_key TEXT,
    fingerprint     TEXT NOT NULL,
    message_id      TEXT NOT NULL,
    state           TEXT NOT NULL,
    mode            TEXT NOT NULL CHECK (mode IN ('queue', 'interrupt')),
    detail          TEXT,
    created_at      INTEGER NOT NULL,
    started_at      INTEGER,
    ended_at        INTEGER
) STRICT;
CREATE INDEX turns_by_key ON turns (bot_id, principal, idempotency_key, created_at) WHERE idempotency_key IS NOT NULL;
CREATE INDEX turns_open ON turns (bot_id, created_at) WHERE ended_at IS NULL;
CREATE INDEX turns_ended ON turns (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE attachments (
    sha256     TEXT PRIMARY KEY,
    size       INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE attachment_links (
    sha256     TEXT NOT NULL REFERENCES attachments (sha256),
    bot_id     TEXT NOT NULL,
    message_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    PRIMARY KEY (sha256, bot_id, message_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX attachment_links_of_message ON attachment_links (bot_id, message_id);

-- number counts rows, so that "keep the newest N" is one subtraction.
CREATE TABLE journal (
    number INTEGER PRIMARY KEY,
    life   INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    bot_id TEXT NOT NULL,
    type   TEXT NOT NULL,
    data   TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX journal_position ON journal (life, seq);

-- What was trimmed: every event up to this position may be missing, every one after it is there.
CREATE TABLE journal_horizon (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    life     INTEGER NOT NULL,
    seq      INTEGER NOT NULL
) STRICT;
INSERT INTO journal_horizon VALUES (1, 0, 0);

CREATE TABLE audit (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    actor      TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    action     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    bot_id     TEXT,
    address    TEXT,
    detail     TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_of_bot ON audit (bot_id, id) WHERE bot_id IS NOT NULL;

-- Holds a row only inside the transaction of a retention run.
CREATE TABLE audit_retention (before_at INTEGER NOT NULL) STRICT;

CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit entries cannot be changed');
END;

CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM audit_retention WHERE old.at < before_at)
BEGIN
    SELECT RAISE(ABORT, 'audit entries cannot be deleted');
END;
