-- The latest call of each room. Times are milliseconds since 1970-01-01 UTC.
CREATE TABLE calls (
    room_id    TEXT PRIMARY KEY NOT NULL,
    -- The room's revision when the call changed last.
    revision   INTEGER NOT NULL,
    started_by TEXT NOT NULL,
    -- False once it is over.
    live       INTEGER NOT NULL,
    -- The time at which it ends by itself.
    expires    INTEGER,
    -- The call in JSON, as clients see it; none once its starter was erased.
    call       TEXT
) WITHOUT ROWID;

CREATE INDEX calls_live ON calls (room_id) WHERE live;

CREATE INDEX calls_starter ON calls (started_by);

-- The clients that are or were in calls, until the end of these.
CREATE TABLE call_parties (
    room_id      TEXT NOT NULL,
    party_id     TEXT NOT NULL,
    call_id      TEXT NOT NULL,
    user_id      TEXT NOT NULL,
    -- The client's latest entry.
    entry        TEXT,
    -- The time of the last heartbeat of the client's server; none once it has left.
    heartbeat_at INTEGER,
    PRIMARY KEY (room_id, party_id)
) WITHOUT ROWID;
