-- Conversations between customers and operators, one in a room at most.
CREATE TABLE conversations (
    room_id      text COLLATE "C" PRIMARY KEY,
    -- The room's revision when the conversation changed last.
    revision     bigint NOT NULL,
    status       text COLLATE "C" NOT NULL,
    -- The operator of a claimed one.
    holder       text COLLATE "C",
    version      bigint NOT NULL,
    changed      timestamptz NOT NULL,
    changed_by   text COLLATE "C",
    -- The time of the oldest message of a customer without an answer.
    waiting      timestamptz
) WITH (fillfactor = 50);

-- The list, the longest waiting first.
CREATE INDEX conversations_queue ON conversations (status, (coalesce(waiting, changed)), room_id);

CREATE INDEX conversations_holder ON conversations (holder) WHERE status = 'claimed';

-- The time when each holder had a client last, whatever the server.
CREATE TABLE holders (
    user_id text COLLATE "C" PRIMARY KEY,
    seen    timestamptz NOT NULL
) WITH (fillfactor = 50);
