-- The rooms that somebody created. A room without a row here is open to all whose token allows it.
CREATE TABLE room_settings (
    room_id  text COLLATE "C" PRIMARY KEY,
    -- The room's revision when the settings or the members changed last.
    revision bigint NOT NULL,
    title    text,
    metadata text,
    access   text NOT NULL,
    created  timestamptz NOT NULL
);

-- The members of these rooms, and those who were removed and have to stay away.
CREATE TABLE room_members (
    room_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    role    text NOT NULL,
    since   timestamptz NOT NULL,
    PRIMARY KEY (room_id, user_id)
);

CREATE INDEX room_members_of_user ON room_members (user_id);
