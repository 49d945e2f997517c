-- What a user's page remembers on all devices: one JSON object, which only the page reads. No foreign key: the local
-- administrator is no row of users.
CREATE TABLE preferences (
    user_id    TEXT PRIMARY KEY,
    data       TEXT NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
