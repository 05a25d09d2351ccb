-- The words of messages, written by a task beside the sends. Only messages with a word have a row.
CREATE TABLE search_documents (
    room_id text COLLATE "C" NOT NULL,
    seq     bigint NOT NULL,
    words   tsvector NOT NULL,
    PRIMARY KEY (room_id, seq)
);

CREATE INDEX search_documents_words ON search_documents USING gin (words);

-- The place of the task in each room: the newest message and the newest change whose words are written.
CREATE TABLE search_cursors (
    room_id  text COLLATE "C" PRIMARY KEY,
    seq      bigint NOT NULL,
    revision bigint NOT NULL
) WITH (fillfactor = 50);
