-- The part of a user in a room: how far the user has read, and whether the room is in the user's list. A read mark touches no index.
CREATE TABLE memberships (
    room_id  text COLLATE "C" NOT NULL,
    user_id  text COLLATE "C" NOT NULL,
    read_seq bigint NOT NULL,
    follows  boolean NOT NULL,
    muted    boolean NOT NULL,
    since    timestamptz NOT NULL,
    PRIMARY KEY (room_id, user_id)
) WITH (fillfactor = 80);

CREATE INDEX memberships_of_user ON memberships (user_id) WHERE follows;
