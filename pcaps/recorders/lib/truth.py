"""Ground truth from the applications' own logs.

A log is a file of JSON lines, written inside a server or client as bytes pass
through it. One exchange (HTTP request and response, or a WebSocket) has an
identifier `x`; its lines are

    {"x": ..., "t": seconds, "ev": "req",  "method", "path", "version", "headers": [[k, v], ...]}
    {"x": ..., "ev": "reqbody",  "b": base64}
    {"x": ..., "ev": "resp", "status", "headers": [[k, v], ...]}
    {"x": ..., "ev": "respbody", "b": base64}
    {"x": ..., "ev": "ws", "path", "headers"}     then  {"ev": "wsin" | "wsout", "text"}
    (with "raw": true: a bare TCP stream of lines, not a WebSocket)

`summarise` counts JSON-RPC messages in them. Nothing here reads packets, but
`verify.py` feeds exchanges rebuilt by tshark through the same function to
compare the two.
"""

import base64
import gzip
import json
import zlib
from urllib.parse import parse_qs, urlsplit


class Exchange:
    def __init__(self, ident, t):
        self.ident = ident
        self.t = t
        self.method = None
        self.path = None
        self.version = None
        self.req_headers = []
        self.req_body = b""
        self.status = None
        self.resp_headers = []
        self.resp_body = b""
        self.ws = None  # list of (direction, text) for a WebSocket, and for a bare stream of lines
        self.raw = False

    def req_header(self, name):
        return header(self.req_headers, name)

    def resp_header(self, name):
        return header(self.resp_headers, name)


def header(headers, name):
    for key, value in headers:
        if key.lower() == name:
            return value
    return None


def load(paths):
    """Reads logs, gives exchanges in the order they began."""
    found = {}
    for path in paths:
        with open(path, encoding="utf-8") as log:
            for line in log:
                try:
                    e = json.loads(line)
                except ValueError:
                    continue  # the last line of a process that was ended
                key = (str(path), e["x"])
                ex = found.get(key)
                if ex is None:
                    ex = found[key] = Exchange(key, e.get("t", 0.0))
                ev = e["ev"]
                if ev == "req":
                    ex.method, ex.path = e["method"], e["path"]
                    ex.version, ex.req_headers = e.get("version"), e["headers"]
                elif ev == "reqbody":
                    ex.req_body += base64.b64decode(e["b"])
                elif ev == "resp" and ex.status is None:
                    ex.status, ex.resp_headers = e["status"], e["headers"]
                elif ev == "respbody":
                    ex.resp_body += base64.b64decode(e["b"])
                elif ev == "ws":
                    ex.ws, ex.path, ex.req_headers = [], e["path"], e["headers"]
                    ex.raw = e.get("raw", False)
                elif ev == "wsin":
                    ex.ws.append(("c2s", e["text"]))
                elif ev == "wsout":
                    ex.ws.append(("s2c", e["text"]))
    return sorted(found.values(), key=lambda x: x.t)


def decode_body(body, coding, charset):
    for one in reversed([c.strip().lower() for c in (coding or "").split(",") if c.strip()]):
        if one in ("gzip", "x-gzip"):
            d = zlib.decompressobj(31)
            body = d.decompress(body)
        elif one == "deflate":
            try:
                body = zlib.decompressobj().decompress(body)
            except zlib.error:
                body = zlib.decompressobj(-15).decompress(body)
    if charset and charset.lower().replace("_", "-").startswith(("utf-16", "utf-32")):
        return body.decode(charset)
    return body.decode(json.detect_encoding(body), "surrogatepass") if body else ""


def charset_of(ctype):
    for part in (ctype or "").split(";")[1:]:
        key, _, value = part.strip().partition("=")
        if key.lower() == "charset":
            return value.strip('"')
    return None


def sse_events(text):
    """(event, data) pairs by the WHATWG rules; a last event without its blank line is not given out."""
    name, data = "", []
    for line in text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]:
        if line == "":
            if data:
                yield name or "message", "\n".join(data)
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value


def messages(value):
    """JSON-RPC messages of a parsed body, and whether it was a batch."""
    if isinstance(value, list):
        return [m for m in value if is_envelope(m)], bool(value)
    return ([value] if is_envelope(value) else []), False


def is_envelope(m):
    return isinstance(m, dict) and m.get("jsonrpc") == "2.0"


def parse(text):
    try:
        return json.loads(text.lstrip("\ufeff"))
    except ValueError:
        return None


class Summary:
    """Counts in the form of `truth/*.truth.json`."""

    def __init__(self):
        self.d = {
            "c2s": {}, "s2c": {}, "responses": {}, "tools_listed": [], "tools_called": {}, "calls": [],
            "clients": [], "servers": [], "protocol_requested": [], "protocol_negotiated": [],
            "protocol_meta": [], "protocol_headers": {}, "mcp_method_headers": {}, "session_ids": [],
            "session_ids_all_seen": [], "endpoint_sessions": [], "http_methods": {}, "statuses": {},
            "response_ctypes": {}, "paths": {}, "hosts": {}, "batches": 0, "ws_connections": 0,
            "resources_read": [], "prompts_got": [],
        }

    def count(self, key, name, by=1):
        self.d[key][name] = self.d[key].get(name, 0) + by

    def once(self, key, value):
        if value is not None and value not in self.d[key]:
            self.d[key].append(value)

    def message(self, direction, m):
        d = self.d
        params = m.get("params") if isinstance(m.get("params"), dict) else {}
        if isinstance(m.get("method"), str):
            method = m["method"]
            self.count("c2s" if direction == "c2s" else "s2c", method)
            meta = params.get("_meta") if isinstance(params.get("_meta"), dict) else {}
            if direction == "c2s":
                if method == "initialize":
                    self.once("protocol_requested", params.get("protocolVersion"))
                    self.identity("clients", params.get("clientInfo"))
                elif method == "tools/call":
                    if isinstance(params.get("name"), str):
                        self.count("tools_called", params["name"])
                    d["calls"].append({"tool": params.get("name"), "id": m.get("id"),
                                       "arguments": params.get("arguments")})
                elif method == "resources/read":
                    self.once("resources_read", params.get("uri"))
                elif method == "prompts/get":
                    self.once("prompts_got", params.get("name"))
                self.once("protocol_meta", meta.get("io.modelcontextprotocol/protocolVersion"))
                self.identity("clients", meta.get("io.modelcontextprotocol/clientInfo"))
        elif "result" in m:
            self.count("responses", "result_" + direction)
            result = m["result"] if isinstance(m["result"], dict) else {}
            if direction == "s2c":
                if "serverInfo" in result and "protocolVersion" in result:
                    self.once("protocol_negotiated", result["protocolVersion"])
                    self.identity("servers", result["serverInfo"])
                meta = result.get("_meta") if isinstance(result.get("_meta"), dict) else {}
                self.identity("servers", meta.get("io.modelcontextprotocol/serverInfo"))
                for tool in result.get("tools") or []:
                    if isinstance(tool, dict) and "inputSchema" in tool:
                        self.once("tools_listed", tool.get("name"))
        elif "error" in m:
            self.count("responses", "error_" + direction)

    def identity(self, key, info):
        if isinstance(info, dict) and info.get("name"):
            self.once(key, "%s/%s" % (info["name"], info.get("version", "")))

    def body(self, direction, text):
        found, batch = messages(parse(text))
        if batch and found:
            self.d["batches"] += 1
        for m in found:
            self.message(direction, m)

    def exchange(self, ex):
        d = self.d
        if not ex.raw:
            self.count("paths", urlsplit(ex.path or "").path)
        host = ex.req_header("host") or ex.req_header(":authority")
        if ex.ws is not None:
            d["ws_connections"] += not ex.raw
            for direction, text in ex.ws:
                self.body(direction, text)
            return
        if host:
            self.count("hosts", host)
        self.count("http_methods", ex.method)
        for name, key in (("mcp-protocol-version", "protocol_headers"), ("mcp-method", "mcp_method_headers")):
            value = ex.req_header(name)
            if value:
                self.count(key, value)
        self.once("session_ids", ex.resp_header("mcp-session-id"))
        self.once("session_ids_all_seen", ex.req_header("mcp-session-id"))
        self.once("session_ids_all_seen", ex.resp_header("mcp-session-id"))
        if ex.req_body:
            try:
                self.body("c2s", decode_body(ex.req_body, ex.req_header("content-encoding"),
                                             charset_of(ex.req_header("content-type"))))
            except (zlib.error, UnicodeDecodeError, LookupError):
                pass
        if ex.status is None:
            return
        self.count("statuses", str(ex.status))
        ctype = (ex.resp_header("content-type") or "").split(";")[0].strip()
        if ctype:
            self.count("response_ctypes", ctype)
        if not ex.resp_body:
            return
        try:
            text = decode_body(ex.resp_body, ex.resp_header("content-encoding"), None)
        except (zlib.error, UnicodeDecodeError):
            return
        if ctype == "text/event-stream":
            for name, data in sse_events(text):
                if name == "endpoint":
                    query = parse_qs(urlsplit(data).query)
                    for key in ("sessionId", "session_id"):
                        for value in query.get(key, []):
                            self.once("endpoint_sessions", value)
                else:
                    self.body("s2c", data)
        elif ctype.endswith("json"):
            self.body("s2c", text)


def summarise(exchanges):
    s = Summary()
    for ex in exchanges:
        s.exchange(ex)
    return s.d


def methods_cell(truth):
    cells = ["%s=%d" % kv for kv in truth["c2s"].items()]
    cells += ["s2c:%s=%d" % kv for kv in truth["s2c"].items()]
    cells += ["resp:%s=%d" % kv for kv in truth["responses"].items()]
    return ";".join(cells) or "-"


def tools_cell(truth):
    if not truth["tools_listed"] and not truth["tools_called"]:
        return "-"
    return "listed:%s called:%s" % (
        ",".join(truth["tools_listed"]), ",".join("%s=%d" % kv for kv in truth["tools_called"].items()))
