-- One row per room with changes: the number of its newest one. Whoever changes messages locks it, so a room's changes are numbered
-- one after another and become visible in that order.
CREATE TABLE revisions (
    room_id       text COLLATE "C" PRIMARY KEY,
    last_revision bigint NOT NULL
) WITH (fillfactor = 50);

-- The messages that answer another one, carry data, or have changed. The row of a plain message is what it was.
CREATE TABLE message_states (
    room_id   text COLLATE "C" NOT NULL,
    seq       bigint NOT NULL,
    -- The newest change; none before the first.
    revision  bigint,
    change_id uuid,
    reply_to  bigint,
    pinned    boolean NOT NULL,
    -- All that clients get besides the message's own row, as JSON.
    state     text NOT NULL,
    PRIMARY KEY (room_id, seq)
);

CREATE UNIQUE INDEX message_states_revision ON message_states (room_id, revision) WHERE revision IS NOT NULL;

CREATE INDEX message_states_replies ON message_states (room_id, reply_to, seq) WHERE reply_to IS NOT NULL;

CREATE INDEX message_states_pinned ON message_states (room_id, seq) WHERE pinned;

CREATE TABLE reactions (
    room_id  text COLLATE "C" NOT NULL,
    seq      bigint NOT NULL,
    reaction text COLLATE "C" NOT NULL,
    user_id  text COLLATE "C" NOT NULL,
    PRIMARY KEY (room_id, seq, reaction, user_id)
);
