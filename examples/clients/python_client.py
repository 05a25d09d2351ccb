import asyncio
import os
import sys
import uuid

import socketio  # pip install "python-socketio[asyncio-client]"

URL = os.environ.get("PARLOR_URL", "http://localhost:3000")
ROOM = "lobby"


class Chat(socketio.AsyncClientNamespace):
    outbox = [{"roomId": ROOM, "message": "hello from python", "clientMessageId": str(uuid.uuid4())}]
    last_seq = 0

    async def on_connect(self):
        # After a reconnect, lastSeq asks for just what was missed.
        await self.emit("joinRoom", {"roomId": ROOM, "lastSeq": self.last_seq}, callback=self.joined)

    async def joined(self, room):
        if room["status"] == "error":
            return print(room["error"], file=sys.stderr)
        for message in room["messages"]:
            self.show(message)
        for message in self.outbox:
            # Without an answer it is sent again after the next join; its clientMessageId has it stored once.
            await self.emit("sendMessage", message, callback=self.sent)

    def sent(self, answer):
        if answer["status"] == "error":
            print(answer["error"], file=sys.stderr)
        if answer["status"] == "ok" or not answer["error"]["retryable"]:
            self.outbox.clear()

    def on_newMessage(self, message):
        # Only the next one: what a broken connection left over may come before what was missed, and comes again with that.
        if message["seq"] == self.last_seq + 1:
            self.show(message)

    def show(self, message):
        if message["seq"] > self.last_seq:
            self.last_seq = message["seq"]
            print(f"{message['userId']}: {message['message']}", flush=True)

    def on_disconnect(self, reason):
        self.disconnected.set()


async def main():
    chat = Chat()
    while True:
        # The client's own reconnection gives up when a server stops in order, so each connection is a new client.
        client = socketio.AsyncClient(reconnection=False)
        client.register_namespace(chat)
        chat.disconnected = asyncio.Event()
        try:
            await client.connect(URL, auth={"userId": "python"})
            await chat.disconnected.wait()
        except socketio.exceptions.ConnectionError as error:
            print(error, file=sys.stderr)
        await asyncio.sleep(1)


asyncio.run(main())
