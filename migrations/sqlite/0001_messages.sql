-- One row per room: the seq of its newest message.
CREATE TABLE rooms (
    room_id  TEXT PRIMARY KEY NOT NULL,
    last_seq INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE messages (
    room_id           TEXT NOT NULL,
    seq               INTEGER NOT NULL,
    id                TEXT NOT NULL,
    user_id           TEXT NOT NULL,
    operator_id       TEXT,
    message           TEXT NOT NULL,
    client_message_id TEXT,
    "timestamp"       INTEGER NOT NULL, -- milliseconds since 1970-01-01 UTC
    PRIMARY KEY (room_id, seq)
);

-- A batch whose outcome is unknown is sent again under the same ids.
CREATE UNIQUE INDEX messages_id ON messages (id);

-- A client's repeated send is the same message, for ever.
CREATE UNIQUE INDEX messages_client_message_id ON messages (room_id, user_id, client_message_id)
    WHERE client_message_id IS NOT NULL;
