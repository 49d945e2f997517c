-- Logins at model providers. A row of `profiles` is bookkeeping and never a secret, so that whoever writes it cannot put
-- an old token back over a new one; the secret has a row of its own, sealed with a key that is not in this file.
--
-- `generation` grows with each change of the secret, by a login or a refresh. `place`: of an `external` one the file that
-- it is read from, of a `gateway` one the bot. `fingerprint` stands for the login's lasting secret (refresh token, key).
-- `claim` is the fence: written before the token endpoint is called, taken away with the answer; one that a start finds
-- means that the process died in between. `uncertain_at`: since when nobody knows whether the refresh token was spent.
-- `settings_digest`: of the provider's settings that were refused.
CREATE TABLE profiles (
    id                TEXT PRIMARY KEY,
    provider          TEXT NOT NULL,
    type              TEXT NOT NULL CHECK (type IN ('oauth', 'token', 'api_key')),
    owner             TEXT NOT NULL CHECK (owner IN ('edgebotd', 'gateway', 'external')),
    place             TEXT,
    label             TEXT,
    account_id        TEXT,
    fingerprint       TEXT,
    state             TEXT NOT NULL CHECK (state IN
                      ('static', 'fresh', 'refreshing', 'backoff', 'uncertain', 'needs_login', 'misconfigured')),
    reason            TEXT,
    generation        INTEGER NOT NULL,
    login_generation  INTEGER NOT NULL,
    expires_at        INTEGER,
    lifetime_ms       INTEGER,
    refreshed_at      INTEGER,
    next_at           INTEGER,
    attempts          INTEGER NOT NULL,
    skew_ms           INTEGER NOT NULL,
    claim             TEXT,
    claimed_at        INTEGER,
    forced_generation INTEGER,
    uncertain_at      INTEGER,
    settings_digest   TEXT,
    created_at        INTEGER NOT NULL,
    changed_at        INTEGER NOT NULL
) STRICT;

-- The generation before stays until the next one is confirmed by a later refresh.
CREATE TABLE profile_secrets (
    profile_id TEXT NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    sealed     BLOB NOT NULL,
    PRIMARY KEY (profile_id, generation)
) STRICT, WITHOUT ROWID;

-- Which bots use a login.
CREATE TABLE profile_bots (
    profile_id TEXT NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    bot_id     TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    PRIMARY KEY (profile_id, bot_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX profile_bots_of_bot ON profile_bots (bot_id);

-- What is sealed with another key than the daemon has is told at the start, not at the first use.
CREATE TABLE vault (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    sealed BLOB NOT NULL
) STRICT;

-- How much of an account is used: the last good answer, and what is wrong since. `fingerprint` and both generations are
-- those of the login when it was asked: one that was only refreshed since is of the same account, and the numbers of an
-- account that was logged in before are nobody's.
CREATE TABLE account_usage (
    profile_id       TEXT PRIMARY KEY REFERENCES profiles (id) ON DELETE CASCADE,
    fingerprint      TEXT,
    generation       INTEGER NOT NULL,
    login_generation INTEGER NOT NULL,
    account_id       TEXT,
    good             TEXT,
    fetched_at       INTEGER,
    error            TEXT,
    failures         INTEGER NOT NULL,
    asked_at         INTEGER,
    next_at          INTEGER
) STRICT;

CREATE TABLE account_usage_history (
    profile_id   TEXT NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    window_id    TEXT NOT NULL,
    at           INTEGER NOT NULL,
    used_percent REAL NOT NULL,
    resets_at    INTEGER,
    PRIMARY KEY (profile_id, window_id, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX account_usage_history_at ON account_usage_history (at);

-- A token that is handed the access token of one login, and opens nothing else.
ALTER TABLE tokens ADD COLUMN profile_id TEXT;

-- What bots' gateways have read last of the logins here: `given` is JSON, generation by login. `error`: why what is due
-- has not been given.
CREATE TABLE login_deliveries (
    bot_id   TEXT PRIMARY KEY REFERENCES bots (id) ON DELETE CASCADE,
    place    TEXT NOT NULL,
    given    TEXT NOT NULL,
    given_at INTEGER,
    error    TEXT
) STRICT, WITHOUT ROWID;
