"""The backend of a shop: it signs users in to the chat, opens a room for each order, and hears what is said."""

import base64
import json
import os
import random
import re
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
from standardwebhooks.webhooks import Webhook

PARLOR = os.environ.get("PARLOR_URL", "http://localhost:3000") + "/api/v1"
API_KEY = os.environ["API_KEY"]
JWT_SECRET = os.environ["JWT_SECRET"]
PASSWORDS = {"ann": "apple", "bob": "banana"}  # Your sign-in stands here: a session, a cookie.
TEMPORARY = (429, 502, 503, 504)
FAILURES = (OSError, HTTPException, ValueError)  # a refusal, no answer, half of one
ATTEMPTS = 8
MAX_BODY_BYTES = 1024 * 1024
MAX_SEEN = 10_000
webhook = Webhook(os.environ["WEBHOOK_SECRET"])
seen = {}  # the newest ids of webhooks


def chat_token(user):
    """Returns a token for the chat: user `sub`, until `exp`, in these rooms."""
    claims = {"sub": user, "exp": int(time.time()) + 3600, "rooms": ["order-*"]}
    return jwt.encode(claims, JWT_SECRET, algorithm="HS256")


def parlor(method, path, body, **headers):
    """Calls Parlor, again after a temporary refusal or a lost answer. Every call here may be repeated."""
    headers |= {"authorization": f"Bearer {API_KEY}", "content-type": "application/json"}
    request = urllib.request.Request(PARLOR + path, json.dumps(body).encode(), headers, method=method)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)
        except FAILURES as error:
            if getattr(error, "code", 503) not in TEMPORARY or attempt == ATTEMPTS:
                raise
            retry_after = getattr(error, "headers", {}).get("retry-after", "")
        backoff = 0.1 * 2**attempt * random.uniform(0.5, 1.5)
        time.sleep(int(retry_after) if retry_after.isdigit() else backoff)


def confirm(order, customer):
    """Opens the room of an order for its customer and the support, and confirms the order in it."""
    room = f"order-{order}"
    try:
        parlor("POST", "/rooms", {"roomId": room, "title": f"Order {order}", "access": "members", "userId": customer})
    except urllib.error.HTTPError as error:
        if error.code != 409:  # The room exists.
            raise
    parlor("PUT", "/members", {"roomId": room, "userId": "support"})
    message = {"roomId": room, "userId": "shop", "message": "Thank you for your order."}
    # However often it is sent, the message with this key is stored once.
    parlor("POST", "/messages", message, **{"idempotency-key": f"{room}-confirmed"})


def take(body, headers):
    """Takes a webhook once. A real backend stores it here, with its id as a unique key, and works on it later."""
    event = webhook.verify(body, headers)
    if seen.setdefault(headers["webhook-id"], event) is not event:
        return
    if len(seen) > MAX_SEEN:
        del seen[next(iter(seen))]
    if event["type"] == "message.created":
        print("{roomId}: {userId}: {message}".format(**event["data"]), flush=True)


class Shop(BaseHTTPRequestHandler):
    timeout = 15

    def do_GET(self):
        if self.path != "/":
            self.answer(404)
        elif self.signed_in():
            self.answer(200, Path(__file__).with_name("page.html").read_bytes(), "text/html")

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if not 0 <= length <= MAX_BODY_BYTES:
            return self.answer(413)
        body = self.rfile.read(length)
        if self.path == "/webhooks":
            try:
                take(body, {name.lower(): value for name, value in self.headers.items()})
            except Exception:  # The library raises several kinds for a bad signature.
                return self.answer(401)
            return self.answer(204)
        if not (user := self.signed_in()):
            return
        if self.path == "/token":
            return self.answer(200, json.dumps({"token": chat_token(user)}).encode())
        if not (order := re.fullmatch(r"/orders/(\w+)", self.path, re.ASCII)):
            return self.answer(404)
        try:
            confirm(order[1], user)
        except FAILURES as error:
            print(error, file=sys.stderr, flush=True)
            return self.answer(502)
        self.answer(204)

    def signed_in(self):
        credentials = self.headers.get("authorization", "").removeprefix("Basic ").encode()
        for user, password in PASSWORDS.items():
            if credentials == base64.b64encode(f"{user}:{password}".encode()):
                return user
        self.answer(401)

    def answer(self, status, body=b"", kind="application/json"):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        if status == 401:
            self.send_header("www-authenticate", "Basic")
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("", int(os.environ.get("PORT", 8080))), Shop)
print(f"http://localhost:{server.server_port}", flush=True)
server.serve_forever()
