-- The latest call of each room.
CREATE TABLE calls (
    room_id    text COLLATE "C" PRIMARY KEY,
    -- The room's revision when the call changed last.
    revision   bigint NOT NULL,
    started_by text COLLATE "C" NOT NULL,
    -- False once it is over.
    live       boolean NOT NULL,
    -- The time at which it ends by itself.
    expires    timestamptz,
    -- The call in JSON, as clients see it; none once its starter was erased.
    call       text COLLATE "C"
) WITH (fillfactor = 50);

CREATE INDEX calls_live ON calls (room_id) WHERE live;

CREATE INDEX calls_starter ON calls (started_by);

-- The clients that are or were in calls, until the end of these.
CREATE TABLE call_parties (
    room_id      text COLLATE "C",
    party_id     text COLLATE "C",
    call_id      text COLLATE "C" NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    -- The client's latest entry.
    entry        uuid,
    -- The time of the last heartbeat of the client's server; none once it has left.
    heartbeat_at timestamptz,
    PRIMARY KEY (room_id, party_id)
) WITH (fillfactor = 50);
