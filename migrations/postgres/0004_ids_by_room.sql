-- Every unique index of messages begins with the room, so that the table can be partitioned or distributed by it. On a large table
-- the index is there already: it is built before this transaction, beside running sends. Only a valid one counts.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('messages_id_in_room') AND NOT indisvalid) THEN
        DROP INDEX messages_id_in_room;
    END IF;
END $$;
CREATE UNIQUE INDEX IF NOT EXISTS messages_id_in_room ON messages (room_id, id) WHERE client_message_id IS NULL;
DROP INDEX messages_id;
