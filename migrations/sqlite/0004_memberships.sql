-- The part of a user in a room: how far the user has read, and whether the room is in the user's list.
CREATE TABLE memberships (
    room_id  TEXT NOT NULL,
    user_id  TEXT NOT NULL,
    read_seq INTEGER NOT NULL,
    follows  INTEGER NOT NULL,
    muted    INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    PRIMARY KEY (room_id, user_id)
) WITHOUT ROWID;

CREATE INDEX memberships_of_user ON memberships (user_id) WHERE follows;
