-- One row per room with changes: the number of its newest one.
CREATE TABLE revisions (
    room_id       TEXT PRIMARY KEY NOT NULL,
    last_revision INTEGER NOT NULL
) WITHOUT ROWID;

-- The messages that answer another one, carry data, or have changed. The row of a plain message is what it was.
CREATE TABLE message_states (
    room_id   TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    -- The newest change; none before the first.
    revision  INTEGER,
    change_id TEXT,
    reply_to  INTEGER,
    pinned    INTEGER NOT NULL,
    -- All that clients get besides the message's own row, as JSON.
    state     TEXT NOT NULL,
    PRIMARY KEY (room_id, seq)
) WITHOUT ROWID;

CREATE UNIQUE INDEX message_states_revision ON message_states (room_id, revision) WHERE revision IS NOT NULL;

CREATE INDEX message_states_replies ON message_states (room_id, reply_to, seq) WHERE reply_to IS NOT NULL;

CREATE INDEX message_states_pinned ON message_states (room_id, seq) WHERE pinned;

CREATE TABLE reactions (
    room_id  TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    reaction TEXT NOT NULL,
    user_id  TEXT NOT NULL,
    PRIMARY KEY (room_id, seq, reaction, user_id)
) WITHOUT ROWID;
