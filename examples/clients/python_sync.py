import os
import queue
import sys
import threading
import time
import uuid

import socketio  # pip install "python-socketio[client]"
from engineio.payload import Payload

URL = os.environ.get("PARLOR_URL", "http://localhost:3000")
ROOM = "lobby"
Payload.max_decode_packets = 10_000  # A polling response may hold more packets than the default of 16.


class Chat(socketio.ClientNamespace):
    last_seq = 0
    ahead = {}  # messages received ahead of earlier ones: this client runs each event in its own thread
    lock = threading.RLock()

    def on_connect(self):
        threading.Thread(target=self.join).start()

    def join(self):
        # After a reconnect, lastSeq requests only the missed messages.
        room = self.request("joinRoom", lastSeq=self.last_seq)
        if room.get("hasMore") and self.last_seq > 0:
            self.catch_up()
        else:
            self.show(room.get("messages", []))

    def on_newMessage(self, message):
        with self.lock:
            self.ahead[message["seq"]] = message
            self.show([])
        if self.ahead:
            time.sleep(1)
        if self.ahead:
            self.catch_up()

    def catch_up(self):
        page = {"hasMore": True}
        while page.get("hasMore"):
            self.ahead.clear()  # The answer includes them. A skipped seq does not exist.
            page = self.request("getHistory", afterSeq=self.last_seq)
            self.show(page.get("messages", []))

    def show(self, messages):
        with self.lock:
            for message in messages:
                self.ahead.pop(message["seq"], None)
                if message["seq"] > self.last_seq:
                    self.last_seq = message["seq"]
                    print(f"{message['userId']}: {message['message']}", flush=True)
            if self.last_seq + 1 in self.ahead:
                self.show([self.ahead[self.last_seq + 1]])

    def talk(self, outbox):
        while True:  # One at a time keeps the order. The clientMessageId keeps a retry from being stored twice.
            self.request("sendMessage", message=outbox.get(), clientMessageId=str(uuid.uuid4()))

    def request(self, event, **payload):
        while True:  # until the answer is final
            try:
                answer = self.call(event, {"roomId": ROOM, **payload}, timeout=10)
                error = answer.get("error", {})
            except socketio.exceptions.SocketIOError as failure:
                error = {"message": repr(failure), "retryable": True}
            if error:
                print(error, file=sys.stderr)
            if not error.get("retryable") and error.get("code") != "NOT_IN_ROOM":
                return answer
            time.sleep(error.get("retryAfterMs", 1000) / 1000)


def read(outbox):
    for line in sys.stdin:
        outbox.put(line.rstrip("\n"))


client, chat, outbox = socketio.Client(), Chat(), queue.Queue()
client.register_namespace(chat)
outbox.put("hello from sync")
threading.Thread(target=read, args=[outbox], daemon=True).start()
client.connect(URL, auth={"userId": "sync"}, retry=True)
chat.talk(outbox)
