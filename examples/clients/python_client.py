import asyncio
import os
import sys
import threading
import uuid

import socketio  # pip install "python-socketio[asyncio-client]"
from engineio.payload import Payload

URL = os.environ.get("PARLOR_URL", "http://localhost:3000")
ROOM = "lobby"
Payload.max_decode_packets = 10_000  # A polling response may hold more packets than the default of 16.


class Chat(socketio.AsyncClientNamespace):
    last_seq = 0
    ahead = {}  # messages received ahead of earlier ones

    async def on_connect(self):
        asyncio.create_task(self.join())

    async def join(self):
        # After a reconnect, lastSeq requests only the missed messages.
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
            self.ahead.clear()  # The answer includes them. A skipped seq does not exist.
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
        while True:  # One at a time keeps the order. The clientMessageId keeps a retry from being stored twice.
            text = await outbox.get()
            await self.request("sendMessage", message=text, clientMessageId=str(uuid.uuid4()))

    async def request(self, event, **payload):
        while True:  # until the answer is final
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


def read(loop, outbox):
    for line in sys.stdin:
        loop.call_soon_threadsafe(outbox.put_nowait, line.rstrip("\n"))


async def main():
    client, chat, outbox = socketio.AsyncClient(), Chat(), asyncio.Queue()
    client.register_namespace(chat)
    outbox.put_nowait("hello from python")
    threading.Thread(target=read, args=[asyncio.get_running_loop(), outbox], daemon=True).start()
    await client.connect(URL, auth={"userId": "python"}, retry=True)
    await chat.talk(outbox)


asyncio.run(main())
