-- The rooms that somebody created. A room without a row here is open to all whose token allows it.
CREATE TABLE room_settings (
    room_id  TEXT PRIMARY KEY NOT NULL,
    -- The room's revision when the settings or the members changed last.
    revision INTEGER NOT NULL,
    title    TEXT,
    metadata TEXT,
    access   TEXT NOT NULL,
    created  INTEGER NOT NULL -- milliseconds since 1970-01-01 UTC
) WITHOUT ROWID;

-- The members of these rooms, and those who were removed and have to stay away.
CREATE TABLE room_members (
    room_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role    TEXT NOT NULL,
    since   INTEGER NOT NULL, -- milliseconds since 1970-01-01 UTC
    PRIMARY KEY (room_id, user_id)
) WITHOUT ROWID;

CREATE INDEX room_members_of_user ON room_members (user_id);
