-- One row per room: the seq of its newest message. A sender's statement locks it, so a room's numbers
-- are given one after another and become visible in that order.
CREATE TABLE rooms (
    room_id  text COLLATE "C" PRIMARY KEY,
    last_seq bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE messages (
    room_id           text COLLATE "C" NOT NULL,
    seq               bigint NOT NULL,
    id                uuid NOT NULL,
    user_id           text COLLATE "C" NOT NULL,
    operator_id       text COLLATE "C",
    message           text NOT NULL,
    client_message_id text COLLATE "C",
    "timestamp"       timestamptz NOT NULL,
    PRIMARY KEY (room_id, seq)
);

-- A batch whose outcome is unknown is sent again under the same ids.
CREATE UNIQUE INDEX messages_id ON messages (id);

-- A client's repeated send is the same message, for ever.
CREATE UNIQUE INDEX messages_client_message_id ON messages (room_id, user_id, client_message_id)
    WHERE client_message_id IS NOT NULL;
