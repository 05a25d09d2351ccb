-- The room's revision when a member changed last, so that a reader finds the members changed since another one. None before this version.
ALTER TABLE room_members ADD COLUMN revision bigint;

CREATE INDEX room_members_revision ON room_members (room_id, revision, user_id) WHERE revision IS NOT NULL;

-- Those who left a room. Those who were removed and have to stay away keep their row in room_members.
CREATE TABLE room_departures (
    room_id  text COLLATE "C" NOT NULL,
    user_id  text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (room_id, user_id)
);

CREATE INDEX room_departures_revision ON room_departures (room_id, revision, user_id);

-- The room's revision when the settings themselves changed last, and the time when they or the members did.
ALTER TABLE room_settings ADD COLUMN settings_revision bigint, ADD COLUMN changed timestamptz;

-- The receivers of webhooks, by a hash of their URL.
CREATE TABLE webhook_endpoints (
    endpoint     uuid PRIMARY KEY,
    url          text NOT NULL,
    -- The time when the cursors of all rooms were there; none until then.
    registered   timestamptz,
    -- Counts the senders, and the cursors moved by hand: a sender with an older number has to stop.
    epoch        bigint NOT NULL,
    leased_until timestamptz,
    disabled     timestamptz,
    reason       text,
    succeeded    timestamptz,
    failed       timestamptz,
    error        text
) WITH (fillfactor = 50);

-- The place of each endpoint in each room: the newest message and the newest change delivered. A room without a row is at its beginning.
CREATE TABLE webhook_cursors (
    room_id  text COLLATE "C" NOT NULL,
    endpoint uuid NOT NULL,
    seq      bigint NOT NULL,
    revision bigint NOT NULL,
    -- The last one delivered of several changes with this revision; none when all are delivered.
    part     text COLLATE "C",
    -- The failed attempts to deliver what comes next, and the time of the next one.
    attempts integer NOT NULL DEFAULT 0,
    retry_at timestamptz,
    PRIMARY KEY (room_id, endpoint)
) WITH (fillfactor = 50);
