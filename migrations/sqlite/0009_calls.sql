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

-- The clients in calls, with the time of the server's last heartbeat for them.
CREATE TABLE call_parties (
    room_id      TEXT NOT NULL,
    party_id     TEXT NOT NULL,
    call_id      TEXT NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    PRIMARY KEY (room_id, party_id)
) WITHOUT ROWID;
