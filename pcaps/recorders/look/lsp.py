"""Talks LSP over TCP to python-lsp-server, as an editor that has MCP's usual name does."""

import json
import socket
import sys

sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
stream = sock.makefile("rb")


def send(m):
    body = json.dumps({"jsonrpc": "2.0", **m}).encode()
    sock.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))


def answer(ident):
    while True:
        size = 0
        while True:
            line = stream.readline().strip()
            if not line:
                break
            if line.lower().startswith(b"content-length"):
                size = int(line.split(b":")[1])
        m = json.loads(stream.read(size))
        if m.get("id") == ident and "method" not in m:
            return m
        if "method" in m and "id" in m:
            send({"id": m["id"], "result": None})


uri = "file:///srv/books/shop.py"
send({"id": 0, "method": "initialize", "params": {
    "processId": None, "clientInfo": {"name": "Visual Studio Code", "version": "1.130.0"}, "rootUri": "file:///srv/books",
    "capabilities": {"workspace": {"workspaceFolders": True}}, "workspaceFolders": None}})
answer(0)
send({"method": "initialized", "params": {}})
send({"method": "textDocument/didOpen", "params": {"textDocument": {
    "uri": uri, "languageId": "python", "version": 1, "text": "import os\n\ndef tools_list():\n    return os.getcwd()\n"}}})
for ident, method, params in [
    (1, "textDocument/documentSymbol", {"textDocument": {"uri": uri}}),
    (2, "textDocument/completion", {"textDocument": {"uri": uri}, "position": {"line": 3, "character": 14}}),
    (3, "textDocument/hover", {"textDocument": {"uri": uri}, "position": {"line": 2, "character": 6}}),
    (4, "shutdown", None),
]:
    send({"id": ident, "method": method, "params": params})
    answer(ident)
send({"method": "exit"})
sock.close()
