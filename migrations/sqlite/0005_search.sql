-- The words of messages, by the rowid of the message, written by a task beside the sends.
CREATE VIRTUAL TABLE search_documents USING fts5(words, tokenize = 'unicode61 remove_diacritics 0');

-- Nothing of a deleted message stays in the index, not even in a part that is merged later.
INSERT INTO search_documents (search_documents, rank) VALUES ('secure-delete', 1);

-- The place of the task in each room: the newest message and the newest change whose words are written.
CREATE TABLE search_cursors (
    room_id  TEXT PRIMARY KEY NOT NULL,
    seq      INTEGER NOT NULL,
    revision INTEGER NOT NULL
) WITHOUT ROWID;
