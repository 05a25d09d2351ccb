import asyncio
import os
import sys
import threading
import uuid

import socketio  # pip install "python-socketio[asyncio-client]"
from engineio.payload import Payload

URL = os.environ.get("PARLOR_URL", "http://localhost:3000")
ROOM = "lobby"
Payload.max_decode_packets = 10_000  # By polling, an answer may hold more packets than its default of 16.


class Chat(socketio.AsyncClientNamespace):
    last_seq = 0
    ahead = {}  # messages that came before those before them

    async def on_connect(self):
        asyncio.create_task(self.join())

    async def join(self):
        # After a reconnect, lastSeq asks for just what was missed.
        room = await self.request("joinRoom", lastSeq=self.last_seq)
        if room.get("hasMore") and self.last_seq > 0:
            await self.catch_up()
        else:
            self.show(room.get("messages", []))

    async def on_newMessage(self, message):
        self.ahead[message["seq"]] = message
        self.show([])
        if self.ahead:
            await asyncio.sleep(1)
        if self.ahead:
            await self.catch_up()

    async def catch_up(self):
        page = {"hasMore": True}
        while page.get("hasMore"):
            self.ahead.clear()  # The answer has them, and what it passes over does not exist.
            page = await self.request("getHistory", afterSeq=self.last_seq)
            self.show(page.get("messages", []))

    def show(self, messages):
        for message in messages:
            self.ahead.pop(message["seq"], None)
            if message["seq"] > self.last_seq:
                self.last_seq = message["seq"]
                print(f"{message['userId']}: {message['message']}", flush=True)
        if self.last_seq + 1 in self.ahead:
            self.show([self.ahead[self.last_seq + 1]])

    async def talk(self, outbox):
        while True:  # One at a time, so that they stay in order. Its clientMessageId has each stored once.
            text = await outbox.get()
            await self.request("sendMessage", message=text, clientMessageId=str(uuid.uuid4()))

    async def request(self, event, **payload):
        while True:  # until there is an answer, and a final one
            try:
                answer = await self.call(event, {"roomId": ROOM, **payload}, timeout=10)
                error = answer.get("error", {})
            except socketio.exceptions.SocketIOError as failure:
                error = {"message": repr(failure), "retryable": True}
            if error:
                print(error, file=sys.stderr)
            if not error.get("retryable") and error.get("code") != "NOT_IN_ROOM":
                return answer
            await asyncio.sleep(error.get("retryAfterMs", 1000) / 1000)

    def on_disconnect(self, reason):
        self.disconnected.set()


def read(loop, outbox):
    for line in sys.stdin:
        loop.call_soon_threadsafe(outbox.put_nowait, line.rstrip("\n"))


async def main():
    chat, outbox, talking = Chat(), asyncio.Queue(), None
    outbox.put_nowait("hello from python")
    threading.Thread(target=read, args=[asyncio.get_running_loop(), outbox], daemon=True).start()
    while True:
        # The client's own reconnection gives up when a server stops in order, so each connection is a new client.
        client = socketio.AsyncClient(reconnection=False)
        client.register_namespace(chat)
        chat.disconnected = asyncio.Event()
        talking = talking or asyncio.create_task(chat.talk(outbox))
        try:
            await client.connect(URL, auth={"userId": "python"})
            await chat.disconnected.wait()
        except socketio.exceptions.ConnectionError as error:
            print(error, file=sys.stderr)
        await asyncio.sleep(1)


asyncio.run(main())
