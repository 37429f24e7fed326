"""ASGI middleware that writes what passes through it as JSON lines (see lib/truth.py)."""

import base64
import itertools
import json
import os
import threading
import time


class Log:
    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")
        self.lock = threading.Lock()
        self.ids = itertools.count()

    def new(self):
        return "%d-%d" % (os.getpid(), next(self.ids))

    def write(self, x, ev, **fields):
        with self.lock:
            self.file.write(json.dumps({"x": x, "t": time.time(), "ev": ev, **fields}) + "\n")
            self.file.flush()


def b64(data):
    return base64.b64encode(data).decode()


def text_headers(headers):
    return [[k.decode("latin-1"), v.decode("latin-1")] for k, v in headers]


class AsgiLog:
    def __init__(self, app, path):
        self.app = app
        self.log = Log(path)

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            await self.http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self.websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def http(self, scope, receive, send):
        log, x = self.log, self.log.new()
        path = scope["path"]
        if scope.get("query_string"):
            path += "?" + scope["query_string"].decode("latin-1")
        log.write(x, "req", method=scope["method"], path=path, version=scope.get("http_version"),
                  headers=text_headers(scope["headers"]))

        async def logged_receive():
            message = await receive()
            if message["type"] == "http.request" and message.get("body"):
                log.write(x, "reqbody", b=b64(message["body"]))
            return message

        async def logged_send(message):
            if message["type"] == "http.response.start":
                log.write(x, "resp", status=message["status"], headers=text_headers(message.get("headers", [])))
            elif message["type"] == "http.response.body" and message.get("body"):
                log.write(x, "respbody", b=b64(message["body"]))
            await send(message)

        await self.app(scope, logged_receive, logged_send)

    async def websocket(self, scope, receive, send):
        log, x = self.log, self.log.new()
        log.write(x, "ws", path=scope["path"], headers=text_headers(scope["headers"]))

        def text(message):
            if message.get("text") is not None:
                return message["text"]
            return (message.get("bytes") or b"").decode("utf-8", "replace")

        async def logged_receive():
            message = await receive()
            if message["type"] == "websocket.receive":
                log.write(x, "wsin", text=text(message))
            return message

        async def logged_send(message):
            if message["type"] == "websocket.send":
                log.write(x, "wsout", text=text(message))
            await send(message)

        await self.app(scope, logged_receive, logged_send)
