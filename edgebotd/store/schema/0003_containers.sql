-- The containers of bots. `spec` is what a container is (re)made from, JSON without secrets; of an adopted one it is {}
-- until it is recreated. `wanted`: what a person asked for last. `crash_loop_at`: since when it ended by itself again and
-- again, until it was started and stayed up. `seen_at`: when the engine was last known to have it, to the few minutes in
-- which that is kept, so that one which went while nobody looked is not said to have gone when somebody looked again.
CREATE TABLE containers (
    bot_id       TEXT PRIMARY KEY REFERENCES bots (id),
    name         TEXT NOT NULL UNIQUE,
    container_id TEXT,
    origin       TEXT NOT NULL CHECK (origin IN ('provisioned', 'adopted', 'file')),
    wanted       TEXT NOT NULL CHECK (wanted IN ('running', 'stopped', 'any')),
    spec         TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL,
    crash_loop_at INTEGER,
    seen_at      INTEGER
) STRICT;

-- Work on a container in steps that survive a crash. `made` is JSON: what the steps have made so far, so that they go
-- on, or clean up, after a restart. No foreign key: the bot may not exist yet, or no longer.
CREATE TABLE operations (
    id         TEXT PRIMARY KEY,
    bot_id     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    request    TEXT NOT NULL,
    made       TEXT NOT NULL,
    step       TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('running', 'undoing', 'succeeded', 'failed', 'cancelled')),
    reason     TEXT,
    actor      TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT;
CREATE UNIQUE INDEX operations_open ON operations (bot_id) WHERE ended_at IS NULL;
CREATE INDEX operations_of_bot ON operations (bot_id, started_at);

CREATE TABLE operation_lines (
    operation_id TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    number       INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    step         TEXT NOT NULL,
    text         TEXT NOT NULL,
    PRIMARY KEY (operation_id, number)
) STRICT, WITHOUT ROWID;

-- The last lines of a container that ended by itself, kept because the next start may overwrite the engine's.
CREATE TABLE crashes (
    bot_id     TEXT NOT NULL,
    at         INTEGER NOT NULL,
    exit_code  INTEGER,
    oom_killed INTEGER NOT NULL,
    lines      TEXT NOT NULL,
    PRIMARY KEY (bot_id, at)
) STRICT, WITHOUT ROWID;

-- What a container used for a day: its memory at a time, processor (100 is one) and network (bytes) on average since the
-- sample before.
CREATE TABLE resource_use (
    bot_id              TEXT NOT NULL,
    at                  INTEGER NOT NULL,
    cpu_percent         REAL,
    memory_bytes        INTEGER NOT NULL,
    received_per_second REAL,
    sent_per_second     REAL,
    PRIMARY KEY (bot_id, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX resource_use_at ON resource_use (at);

-- What needs a person now: the newest event of each alert, until one says that it is mended. The journal keeps it by
-- itself, so that nobody who tells of one can forget to, and it outlives what is trimmed of the journal.
CREATE TABLE open_alerts (
    alert_id TEXT PRIMARY KEY,
    bot_id   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    data     TEXT NOT NULL
) STRICT;
CREATE TRIGGER alert_is_told AFTER INSERT ON journal WHEN new.type = 'alert'
BEGIN
    DELETE FROM open_alerts WHERE alert_id = json_extract(new.data, '$.alertId');
    INSERT INTO open_alerts
        SELECT json_extract(new.data, '$.alertId'), new.bot_id, new.at, new.data
        WHERE json_extract(new.data, '$.state') = 'open';
END;
