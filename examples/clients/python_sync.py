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
Payload.max_decode_packets = 10_000  # By polling, an answer may hold more packets than its default of 16.


class Chat(socketio.ClientNamespace):
    last_seq = 0
    ahead = {}  # messages that came before those before them: this client runs each event in a thread of its own
    lock = threading.RLock()

    def on_connect(self):
        threading.Thread(target=self.join).start()

    def join(self):
        # After a reconnect, lastSeq asks for just what was missed.
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
            self.ahead.clear()  # The answer has them, and what it passes over does not exist.
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
        while True:  # One at a time, so that they stay in order. Its clientMessageId has each stored once.
            self.request("sendMessage", message=outbox.get(), clientMessageId=str(uuid.uuid4()))

    def request(self, event, **payload):
        while True:  # until there is an answer, and a final one
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


def connect(chat):
    while True:
        # The client's own reconnection gives up when a server stops in order, so each connection is a new client.
        client = socketio.Client(reconnection=False)
        client.register_namespace(chat)
        try:
            client.connect(URL, auth={"userId": "sync"})
            client.wait()
        except socketio.exceptions.ConnectionError as error:
            print(error, file=sys.stderr)
        time.sleep(1)


chat, outbox = Chat(), queue.Queue()
outbox.put("hello from sync")
threading.Thread(target=connect, args=[chat], daemon=True).start()
while chat.client is None:
    time.sleep(0.01)
threading.Thread(target=chat.talk, args=[outbox], daemon=True).start()
for line in sys.stdin:
    outbox.put(line.rstrip("\n"))
threading.Event().wait()
