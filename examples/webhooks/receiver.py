#!/usr/bin/env python3
"""A webhook receiver: all that one has to do, in a hundred lines of the standard library.

  WEBHOOK_SECRET=whsec_... examples/webhooks/receiver.py PORT

It checks the signature and its age, drops what it has seen before by the event's position, and
answers 2xx only when it has taken an event. GET / tells what it has."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import sys
import threading
import time

TOLERANCE_SECONDS = 300


class Inbox:
    """What arrived under one path. Thread-safe."""

    def __init__(self):
        self._lock = threading.Lock()
        self._seen = set()
        self._orders = {}
        self._changes = 0
        self._repetitions = 0

    def take(self, key, event):
        with self._lock:
            if key in self._seen:
                self._repetitions += 1
                return
            self._seen.add(key)
            if event["operation"] != "read":
                self._changes += 1
            if event.get("before"):
                self._orders.pop(event["before"]["id"], None)
            if event.get("after"):
                self._orders[event["after"]["id"]] = event["after"]

    def summary(self):
        with self._lock:
            return {"changes": self._changes, "repetitions": self._repetitions,
                    "orders": sorted(self._orders.values(), key=lambda order: order["id"])}


INBOXES = {"/shipping": Inbox(), "/warehouse": Inbox()}
KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))


def is_signed(headers, body):
    timestamp = headers.get("webhook-timestamp", "0")
    if abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    content = "%s.%s." % (headers.get("webhook-id"), timestamp)
    digest = hmac.new(KEY, content.encode() + body, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    # While a secret is being replaced there are two signatures: one of them has to be ours.
    return any(hmac.compare_digest(expected, given)
               for given in headers.get("webhook-signature", "").split())


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # So that connections are kept.
    wbufsize = -1                  # An answer is one packet.

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        inbox = INBOXES.get(self.path)
        if inbox is None:
            return self._answer(404)
        if not is_signed(self.headers, body):
            return self._answer(401)
        events = json.loads(body)
        if isinstance(events, dict):
            inbox.take(self.headers["Idempotency-Key"], events)
        else:
            for number, event in enumerate(events):
                key = event["position"]
                if event["operation"] == "read":  # Rows of the snapshot share their position.
                    key = "%s/%d" % (self.headers["Idempotency-Key"], number)
                inbox.take(key, event)
        self._answer(204)

    def do_GET(self):
        self._answer(200, json.dumps({path: inbox.summary() for path, inbox in INBOXES.items()}))

    def _answer(self, status, text=""):
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
        self.wfile.flush()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
