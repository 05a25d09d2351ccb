-- Conversations between customers and operators, one in a room at most. Times are milliseconds since 1970-01-01 UTC.
CREATE TABLE conversations (
    room_id      TEXT PRIMARY KEY NOT NULL,
    -- The room's revision when the conversation changed last.
    revision     INTEGER NOT NULL,
    status       TEXT NOT NULL,
    -- The operator of a claimed one.
    holder       TEXT,
    version      INTEGER NOT NULL,
    changed      INTEGER NOT NULL,
    changed_by   TEXT,
    -- The time of the oldest message of a customer without an answer.
    waiting      INTEGER
) WITHOUT ROWID;

-- The list, the longest waiting first.
CREATE INDEX conversations_queue ON conversations (status, coalesce(waiting, changed), room_id);

CREATE INDEX conversations_holder ON conversations (holder) WHERE status = 'claimed';

-- The time when each holder had a client last.
CREATE TABLE holders (
    user_id TEXT PRIMARY KEY NOT NULL,
    seen    INTEGER NOT NULL
) WITHOUT ROWID;
