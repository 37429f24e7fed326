"""The bookshop of server1.py as newline-delimited JSON over a bare TCP port, as `socat` makes of a stdio server."""

import argparse
import asyncio
import socket
import threading

import anyio
from mcp.server.stdio import stdio_server

from asgi_log import Log
from server1 import build


class Logged:
    """A text file that logs its lines."""

    def __init__(self, file, log, x, event):
        self.file, self.log, self.x, self.event = file, log, x, event

    def __iter__(self):
        return self

    def __next__(self):
        line = self.file.readline()
        if not line:
            raise StopIteration
        self.log.write(self.x, self.event, text=line)
        return line

    def readline(self):
        line = self.file.readline()
        if line:
            self.log.write(self.x, self.event, text=line)
        return line

    def write(self, text):
        self.log.write(self.x, self.event, text=text)
        return self.file.write(text)

    def flush(self):
        self.file.flush()


def serve(sock, log):
    async def run():
        x = log.new()
        log.write(x, "ws", path="", headers=[], raw=True)
        reader = Logged(sock.makefile("r", encoding="utf-8"), log, x, "wsin")
        writer = Logged(sock.makefile("w", encoding="utf-8"), log, x, "wsout")
        server = build("bookshop")
        async with stdio_server(anyio.wrap_file(reader), anyio.wrap_file(writer)) as (r, w):
            await server.run(r, w, server.create_initialization_options())
        sock.close()
    asyncio.run(run())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, default=7000)
    p.add_argument("--log", required=True)
    args = p.parse_args()
    log = Log(args.log)
    listener = socket.create_server(("0.0.0.0", args.port))
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock, log), daemon=True).start()


if __name__ == "__main__":
    main()
