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

-- The number stands for the conversation in messages.
CREATE TABLE conversations (
    number      INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
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

-- seq counts the messages of all bots. AUTOINCREMENT: the seq of a deleted message must not come again. New rows go to
-- the end of the table; a bot's and a conversation's messages are ranges of small indexes, in order of seq. What is
-- unread is counted in the conversation's index alone.
CREATE TABLE messages (
    seq                 INTEGER PRIMARY KEY AUTOINCREMENT,
    id                  TEXT NOT NULL,
    bot_number          INTEGER NOT NULL,
    conversation_number INTEGER NOT NULL REFERENCES conversations (number),
    run_id              TEXT NOT NULL,
    role                TEXT NOT NULL,
    state               TEXT NOT NULL,
    source              TEXT NOT NULL,
    user_id             TEXT,
    created_at          INTEGER NOT NULL,
    edited_at           INTEGER,
    parts               TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_by_run ON messages (run_id, role, conversation_number);
CREATE UNIQUE INDEX messages_by_id ON messages (id, bot_number);
CREATE INDEX messages_of_conversation ON messages (conversation_number, seq, user_id);
CREATE INDEX messages_of_bot ON messages (bot_number);
CREATE INDEX messages_by_age ON messages (created_at);

-- Ids of rows in a bot's own history that are stored already.
CREATE TABLE external_keys (
    bot_number  INTEGER NOT NULL,
    key         TEXT NOT NULL,
    message_seq INTEGER NOT NULL REFERENCES messages (seq) ON DELETE CASCADE,
    PRIMARY KEY (bot_number, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX external_keys_of_message ON external_keys (message_seq);

-- The search index; its rowid is the message's seq. Four tables, a bot's words in number % 4 (store/indexing.py says
-- why). They hold no text of their own: the words come prepared (store/words.py), so unicode61 only splits at spaces.
-- Marks count as letters for scripts that write vowels with them; a private-use character marks the bot's own token.
CREATE VIRTUAL TABLE message_words_0 USING fts5 (
    words, content = '', columnsize = 0, prefix = '4',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M* Co'"
);
CREATE VIRTUAL TABLE message_words_1 USING fts5 (
    words, content = '', columnsize = 0, prefix = '4',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M* Co'"
);
CREATE VIRTUAL TABLE message_words_2 USING fts5 (
    words, content = '', columnsize = 0, prefix = '4',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M* Co'"
);
CREATE VIRTUAL TABLE message_words_3 USING fts5 (
    words, content = '', columnsize = 0, prefix = '4',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M* Co'"
);
-- Few and big segments: words are indexed in batches of thousands, and a batch must not be split by its memory (32 MB).
INSERT INTO message_words_0 (message_words_0, rank) VALUES ('hashsize', 33554432);
INSERT INTO message_words_0 (message_words_0, rank) VALUES ('automerge', 8);
INSERT INTO message_words_1 (message_words_1, rank) VALUES ('hashsize', 33554432);
INSERT INTO message_words_1 (message_words_1, rank) VALUES ('automerge', 8);
INSERT INTO message_words_2 (message_words_2, rank) VALUES ('hashsize', 33554432);
INSERT INTO message_words_2 (message_words_2, rank) VALUES ('automerge', 8);
INSERT INTO message_words_3 (message_words_3, rank) VALUES ('hashsize', 33554432);
INSERT INTO message_words_3 (message_words_3, rank) VALUES ('automerge', 8);

-- The index has the words of all messages up to this seq; those behind it wait for the next batch. `rules` are those
-- by which the words were made: under other ones the index is made anew.
CREATE TABLE search_state (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    indexed_seq INTEGER NOT NULL,
    rules       TEXT NOT NULL
) STRICT;
INSERT INTO search_state VALUES (1, 0, '');

-- Messages that were edited or deleted since; `old` is the text that the index has for them.
CREATE TABLE search_queue (
    seq        INTEGER PRIMARY KEY,
    bot_number INTEGER NOT NULL,
    old        TEXT NOT NULL
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

-- REPLACE deletes without asking the trigger below.
CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE id = new.id)
BEGIN
    SELECT RAISE(ABORT, 'audit entries cannot be changed');
END;

CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM audit_retention WHERE old.at < before_at)
BEGIN
    SELECT RAISE(ABORT, 'audit entries cannot be deleted');
END;
