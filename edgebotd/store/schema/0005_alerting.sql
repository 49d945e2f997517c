-- Alerts on their way out. The journal hands each one over by itself, in the transaction that tells it, so that none is
-- lost and none is taken twice, whoever tells it.
CREATE TABLE alerts_told (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    data   TEXT NOT NULL
) STRICT;
CREATE TRIGGER alert_goes_out AFTER INSERT ON journal WHEN new.type = 'alert'
BEGIN
    INSERT INTO alerts_told (data) VALUES (new.data);
END;

-- One message to one channel. `waiting` until it is sent; `held` over quiet hours, then `summed` up in one message (kind
-- `summary`, whose data is a list); `dropped` where it came to nothing before it was sent; `failed` for good.
-- `attempts` counts those that began: one that a crash cut off may have arrived.
CREATE TABLE alert_deliveries (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    channel    TEXT NOT NULL,
    alert_id   TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('open', 'resolved', 'summary')),
    severity   TEXT NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    data       TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('waiting', 'held', 'sent', 'summed', 'dropped', 'failed')),
    attempts   INTEGER NOT NULL DEFAULT 0,
    next_at    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER,
    error      TEXT
) STRICT;
CREATE INDEX alert_deliveries_open ON alert_deliveries (channel, alert_id) WHERE state IN ('waiting', 'held');
CREATE INDEX alert_deliveries_ended ON alert_deliveries (ended_at) WHERE ended_at IS NOT NULL;

-- What each channel knows of each alert.
CREATE TABLE alerts_known (
    channel  TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('open', 'resolved')),
    severity TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (channel, alert_id)
) STRICT, WITHOUT ROWID;
