"""A raw client that says valid MCP in unusual ways. Standard library only.

    raw_client.py URL VARIANT [--version V] [--connect PROXY]

Every request goes over one keep-alive connection. The answers are not checked:
what the server did is in its log.
"""

import argparse
import gzip
import json
import socket
import time
import zlib
from urllib.parse import urlsplit


class Connection:
    def __init__(self, url, connect=None):
        self.url = urlsplit(url)
        where = (self.url.hostname, self.url.port or 80)
        host, port = connect.split(":") if connect else where
        self.sock = socket.create_connection((host, int(port)), timeout=15)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        if connect:
            target = "%s:%d" % where
            self.sock.sendall(("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (target, target)).encode())
            self.head()

    def line(self):
        while b"\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("latin-1")

    def fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("closed")
        self.buffer += data

    def head(self):
        status = int(self.line().split()[1])
        headers = {}
        while True:
            line = self.line()
            if not line:
                return status, headers
            key, _, value = line.partition(":")
            headers[key.lower()] = value.strip()

    def take(self, n):
        while len(self.buffer) < n:
            self.fill()
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def response(self):
        status, headers = self.head()
        body = b""
        if "chunked" in headers.get("transfer-encoding", ""):
            while True:
                size = int(self.line().split(";")[0], 16)
                body += self.take(size)
                self.line()
                if size == 0:
                    break
        elif "content-length" in headers:
            body = self.take(int(headers["content-length"]))
        return status, headers, body

    def send(self, pieces, pause=0.0):
        for piece in pieces:
            self.sock.sendall(piece)
            if pause:
                time.sleep(pause)


def escape_all(value):
    """JSON with every letter of keys and strings as \\uXXXX."""
    if isinstance(value, dict):
        return "{" + ",".join(escape_all(str(k)) + ":" + escape_all(v) for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(escape_all, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join("\\u%04x" % ord(c) for c in value) + '"'
    return json.dumps(value)


def last_first(m):
    """jsonrpc and method after a long params."""
    params = dict(m.get("params") or {})
    params["_meta"] = {"padding": "x" * 20000}
    out = {"params": params}
    if "id" in m:
        out["id"] = m["id"]
    out["method"] = m["method"]
    out["jsonrpc"] = "2.0"
    return json.dumps(out)


def duplicate_keys(m):
    """The last one wins in every SDK seen."""
    text = json.dumps(m)
    return '{"method":"ping","jsonrpc":"1.0",' + text[1:]


JSON_TYPE = "application/json"
BODIES = {
    "plain": lambda m: (json.dumps(m).encode(), JSON_TYPE, None),
    "unicode-escape": lambda m: (escape_all(m).encode(), JSON_TYPE, None),
    "pretty": lambda m: (("\r\n\t " + json.dumps(m, indent=4).replace("\n", "\r\n").replace(": ", "  :\t") + "\r\n \n")
                         .encode(), JSON_TYPE, None),
    "slash-escape": lambda m: (json.dumps(m).replace("/", "\\/").encode(), JSON_TYPE, None),
    "utf16": lambda m: (json.dumps(m).encode("utf-16"), JSON_TYPE + "; charset=utf-16", None),
    "utf16be-undeclared": lambda m: (json.dumps(m).encode("utf-16-be"), JSON_TYPE, None),
    "utf32le": lambda m: (json.dumps(m).encode("utf-32"), JSON_TYPE, None),
    "bom": lambda m: (b"\xef\xbb\xbf" + json.dumps(m).encode(), JSON_TYPE, None),
    "gzip": lambda m: (gzip.compress(json.dumps(m).encode(), mtime=0), JSON_TYPE, "gzip"),
    "deflate": lambda m: (zlib.compress(json.dumps(m).encode()), JSON_TYPE, "deflate"),
    "chunked": lambda m: (json.dumps(m).encode(), JSON_TYPE, None),
    "last-first": lambda m: (last_first(m).encode(), JSON_TYPE, None),
    "duplicate-keys": lambda m: (duplicate_keys(m).encode(), JSON_TYPE, None),
    "json-rpc-type": lambda m: (json.dumps(m).encode(), "application/json-rpc", None),
    "header-tricks": lambda m: (json.dumps(m).encode(), JSON_TYPE, None),
}


class Client:
    def __init__(self, args):
        self.args = args
        self.c = Connection(args.url, args.connect)
        self.session = None
        self.next_id = 0

    def request(self, method, body, ctype=JSON_TYPE, coding=None, extra=()):
        variant = self.args.variant
        url = self.c.url
        head = ["%s %s HTTP/1.1" % (method, url.path), "Host: %s" % url.netloc,
                "Accept: application/json, text/event-stream"]
        if variant == "header-tricks":
            head = ["%s %s?x=%%6dcp HTTP/1.1" % (method, url.path), "hOsT:   %s\t" % url.netloc,
                    "aCCept:application/json", "ACCEPT: text/event-stream", "X-Empty:"]
        if self.session:
            head.append("mcp-SESSION-id: %s" % self.session if variant == "header-tricks" else
                        "Mcp-Session-Id: %s" % self.session)
            head.append("MCP-Protocol-Version: %s" % self.args.version)
        head += extra
        if coding:
            head.append("Content-Encoding: %s" % coding)
        if body is not None:
            head.append("Content-Type: %s" % ctype)
        chunked = variant == "chunked" and body is not None
        head.append("Transfer-Encoding: chunked" if chunked else "Content-Length: %d" % len(body or b""))
        start = ("\r\n".join(head) + "\r\n\r\n").encode()
        if chunked:
            pieces = [start] + [b"1;n=%d\r\n%c\r\n" % (i, byte) for i, byte in enumerate(body)] + [
                b"0\r\nX-Trailer: end\r\n\r\n"]
            self.c.send([start] + [b"".join(pieces[i:i + 7]) for i in range(1, len(pieces), 7)], 0.001)
        elif variant in ("pretty", "bom") and body:
            self.c.send([start, body[:3], body[3:20], body[20:]], 0.02)
        else:
            self.c.send([start + (body or b"")])
        status, headers, answer = self.c.response()
        self.session = headers.get("mcp-session-id", self.session)
        print(method, status, answer[:120])
        return status

    def message(self, method, params=None, note=False):
        m = {"jsonrpc": "2.0"}
        if not note:
            m["id"] = self.next_id
            self.next_id += 1
        m["method"] = method
        if params is not None:
            m["params"] = params
        return m

    def say(self, *args, **kwargs):
        body, ctype, coding = BODIES[self.args.variant](self.message(*args, **kwargs))
        return self.request("POST", body, ctype, coding)

    def initialize(self):
        return ("initialize", {"protocolVersion": self.args.version, "capabilities": {},
                               "clientInfo": {"name": self.args.name, "version": "6.6"}})

    def scene(self):
        self.say(*self.initialize())
        self.say("notifications/initialized", note=True)
        self.say("tools/list")
        self.say("tools/call", {"name": "add", "arguments": {"a": 2, "b": 40}})
        self.say("tools/call", {"name": self.args.tool, "arguments": json.loads(self.args.arguments)})
        self.say("resources/list")
        self.end()

    def batch(self):
        post = lambda ms: self.request("POST", json.dumps(ms).encode())  # noqa: E731
        post([self.message(*self.initialize())])
        post([self.message("notifications/initialized", note=True)])
        post([self.message("tools/list"), self.message("resources/list"),
              self.message("tools/call", {"name": "add", "arguments": {"a": 2, "b": 40}}),
              self.message("notifications/cancelled", {"requestId": 99, "reason": "none"}, note=True),
              self.message("tools/call", {"name": self.args.tool, "arguments": json.loads(self.args.arguments)})])
        self.end()

    def errors(self):
        """What goes wrong: status 400, 404, 405, 406, 415, and JSON-RPC errors; a session is in between."""
        post = lambda m, **k: self.request("POST", json.dumps(m).encode(), **k)  # noqa: E731
        post(self.message("tools/list"))
        self.session = None  # the Python SDK sends an Mcp-Session-Id even with the 400; it is of no session
        post(self.message(*self.initialize()))
        post(self.message("notifications/initialized", note=True))
        post(self.message("tools/call", {"name": "no_such_tool", "arguments": {}}))
        post(self.message("no/such/method"))
        post(self.message("tools/call", {"arguments": 7}))
        self.request("POST", b'{"jsonrpc":"2.0","id":9,"method":"tools/li', JSON_TYPE)
        post(self.message("tools/list"), ctype="text/plain")
        self.request("PUT", b"{}", JSON_TYPE)
        kept, self.session = self.session, "not-a-session"
        post(self.message("tools/list"))
        self.session = kept
        self.end()

    def end(self):
        if self.session:
            self.request("DELETE", None)
        self.c.sock.close()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("url")
    p.add_argument("variant", choices=[*BODIES, "batch", "errors"])
    p.add_argument("--version", default="2025-03-26")
    p.add_argument("--name", default="odd-client")
    p.add_argument("--tool", default="lookup")
    p.add_argument("--arguments", default='{"title": "Emma"}')
    p.add_argument("--connect", help="HOST:PORT of a proxy to tunnel through")
    client = Client(p.parse_args())
    {"batch": client.batch, "errors": client.errors}.get(client.args.variant, client.scene)()


main()
