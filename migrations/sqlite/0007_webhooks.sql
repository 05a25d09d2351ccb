-- The room's revision when a member changed last, so that a reader finds the members changed since another one. None before this version.
ALTER TABLE room_members ADD COLUMN revision INTEGER;

CREATE INDEX room_members_revision ON room_members (room_id, revision, user_id) WHERE revision IS NOT NULL;

-- Those who left a room. Those who were removed and have to stay away keep their row in room_members.
CREATE TABLE room_departures (
    room_id  TEXT NOT NULL,
    user_id  TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (room_id, user_id)
) WITHOUT ROWID;

CREATE INDEX room_departures_revision ON room_departures (room_id, revision, user_id);

-- The room's revision when the settings themselves changed last, and the time when they or the members did.
ALTER TABLE room_settings ADD COLUMN settings_revision INTEGER;

ALTER TABLE room_settings ADD COLUMN changed INTEGER; -- milliseconds since 1970-01-01 UTC

-- The receivers of webhooks, by a hash of their URL. Times are milliseconds since 1970-01-01 UTC.
CREATE TABLE webhook_endpoints (
    endpoint     TEXT PRIMARY KEY NOT NULL,
    url          TEXT NOT NULL,
    -- The time when the cursors of all rooms were there; none until then.
    registered   INTEGER,
    -- Counts the senders, and the cursors moved by hand: a sender with an older number has to stop.
    epoch        INTEGER NOT NULL,
    leased_until INTEGER,
    disabled     INTEGER,
    reason       TEXT,
    succeeded    INTEGER,
    failed       INTEGER,
    error        TEXT
) WITHOUT ROWID;

-- The place of each endpoint in each room: the newest message and the newest change delivered. A room without a row is at its beginning.
CREATE TABLE webhook_cursors (
    room_id  TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    -- The last one delivered of several changes with this revision; none when all are delivered.
    part     TEXT,
    -- The failed attempts to deliver what comes next, and the time of the next one.
    attempts INTEGER NOT NULL DEFAULT 0,
    retry_at INTEGER,
    PRIMARY KEY (room_id, endpoint)
) WITHOUT ROWID;
