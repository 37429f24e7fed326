"""Newline-delimited JSON-RPC over TCP: `raw_tcp_client.py HOST PORT`."""

import json
import socket
import sys

sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
stream = sock.makefile("rw", encoding="utf-8")
ident = 0


def say(method, params=None, note=False):
    global ident
    m = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        m["params"] = params
    if not note:
        ident += 1
        m["id"] = ident
    stream.write(json.dumps(m, ensure_ascii=False) + "\n")
    stream.flush()
    while not note:
        answer = json.loads(stream.readline())
        if answer.get("id") == ident and "method" not in answer:
            return answer


say("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "pipe", "version": "0.9"}})
say("notifications/initialized", note=True)
say("tools/list")
say("tools/call", {"name": "add", "arguments": {"a": 2, "b": 40}})
say("tools/call", {"name": "lookup", "arguments": {"title": "Šteger – 東京"}})
say("tools/call", {"name": "count_slowly", "arguments": {"steps": 3}, "_meta": {"progressToken": 1}})
say("resources/list")
say("ping")
sock.close()
