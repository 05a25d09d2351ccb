-- The servers of the chat. The tables are unlogged, so keeping them costs no write-ahead log; a crash of the database empties
-- them, and each server writes its part again.
CREATE UNLOGGED TABLE servers (
    server_id uuid PRIMARY KEY,
    revision  bigint NOT NULL,
    -- The key of the advisory lock that the server holds while it lives.
    lease     bigint NOT NULL,
    -- The latest sign of life of a server without a connection that can hold the lock.
    seen_at   timestamptz
);

-- The members of each room on each server: a JSON array of user ids, or the number of members.
CREATE UNLOGGED TABLE rosters (
    room_id   text COLLATE "C" NOT NULL,
    server_id uuid NOT NULL REFERENCES servers ON DELETE CASCADE,
    roster    text NOT NULL,
    PRIMARY KEY (room_id, server_id)
);

CREATE INDEX rosters_of_server ON rosters (server_id);
