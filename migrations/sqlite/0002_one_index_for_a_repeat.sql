-- What is sent again is known by its clientMessageId if it has one, and only else by its id: so a message stands in one of the
-- two indexes, not in both.
DROP INDEX messages_id;
CREATE UNIQUE INDEX messages_id ON messages (id) WHERE client_message_id IS NULL;
