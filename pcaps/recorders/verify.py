#!/usr/bin/env python3
"""Checks captures against their truth files with tshark.

    ./verify.py [FILE ...]      default: every row of LABELS.tsv

For each capture: no bad TCP checksum, no lost segment, and the JSON-RPC
messages of HTTP/1.x, WebSocket and HTTP/2 bodies as tshark gives them out are
counted by the same code that counts the applications' logs; the counts must be
the same. tshark joins and decrypts the streams (`follow,tcp`, `follow,tls`,
`follow,quic`); HTTP, WebSocket and HTTP/2 and /3 framing are read here.
Hardened captures (`h-` made by harden.py) are listed and not compared.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import zlib

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "lib"))

import truth as truth_lib  # noqa: E402
from record import read_labels  # noqa: E402

KEYS = ["c2s", "s2c", "responses", "tools_listed", "tools_called", "clients", "servers", "protocol_requested",
        "protocol_negotiated", "protocol_meta", "resources_read", "prompts_got", "endpoint_sessions"]


def tshark(path, keylog, *args):
    keys = ["-o", "tls.keylog_file:%s" % keylog] if keylog else []
    cmd = ["tshark", "-n", "-r", str(path), *keys, *args]
    return subprocess.run(cmd, check=True, capture_output=True, text=True, timeout=300).stdout


def noise(path, keylog):
    out = tshark(path, keylog, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-o",
                 "udp.check_checksum:TRUE", "-Y",
                 "tcp.checksum.status==0 or ip.checksum.status==0 or udp.checksum.status==0 or "
                 "tcp.analysis.lost_segment or tcp.analysis.ack_lost_segment")
    return len(out.splitlines())


def streams(path, keylog, what):
    """(client bytes, server bytes) of each TCP stream as tshark joins it; `what` is tcp or tls."""
    ids = sorted({int(i) for i in tshark(path, keylog, "-T", "fields", "-e", "tcp.stream", "-Y", "tcp").split()})
    for at in range(0, len(ids), 20):
        args = []
        for i in ids[at:at + 20]:
            args += ["-z", "follow,%s,raw,%d" % (what, i)]
        out = tshark(path, keylog, "-q", *args)
        for block in re.split(r"={20,}\n", out):
            if "Follow:" not in block:
                continue
            sides = [b"", b""]
            for line in block.splitlines():
                if re.fullmatch(r"\t?[0-9a-f]+", line):
                    side = line.startswith("\t")
                    sides[side] += bytes.fromhex(line.strip())
            yield sides


def line_end(data, at):
    end = data.find(b"\n", at)
    return (None, None) if end < 0 else (data[at:end].rstrip(b"\r"), end + 1)


def head(data, at):
    lines = []
    while True:
        line, after = line_end(data, at)
        if line is None:
            return None, at
        at = after
        if not line:
            return lines, at
        lines.append(line.decode("latin-1"))


def fields(lines):
    return [[k.strip(), v.strip()] for k, _, v in (one.partition(":") for one in lines)]


def body(data, at, headers, until_close, none=False):
    get = lambda n: truth_lib.header(headers, n)  # noqa: E731
    if none:
        return b"", at
    if "chunked" in (get("transfer-encoding") or "").lower():
        out = b""
        while True:
            line, after = line_end(data, at)
            if line is None:
                return out, len(data)
            size = int(line.split(b";")[0], 16)
            if size == 0:
                _, at = head(data, after)
                return out, at
            out += data[after:after + size]
            at = after + size + 2
    if get("content-length") is not None:
        n = int(get("content-length"))
        return data[at:at + n], at + n
    return (data[at:], len(data)) if until_close else (b"", at)


def http1(sides, ident):
    """Exchanges of one connection; also what follows a 101."""
    client, server = sides
    found, at = [], 0
    if re.match(rb"[A-Z]{3,20} \S+ HTTP/1", client) is None:
        return found
    if client.startswith(b"CONNECT "):
        _, at = head(client, 0)
        _, s = head(server, 0)
        return http1((client[at:], server[s:]), ident)
    while at < len(client):
        lines, at = head(client, at)
        if not lines:
            break
        ex = truth_lib.Exchange((ident, len(found)), 0)
        ex.method, ex.path = lines[0].split(" ")[:2]
        ex.req_headers = fields(lines[1:])
        if ex.path.startswith("http://"):
            ex.path = "/" + ex.path.split("/", 3)[3]
        ex.req_body, at = body(client, at, ex.req_headers, False)
        found.append(ex)
    at = 0
    for ex in found:
        lines, at = head(server, at)
        while lines and lines[0].split()[1].startswith("1"):
            lines, at = head(server, at)
        if not lines:
            break
        ex.status = int(lines[0].split()[1])
        ex.resp_headers = fields(lines[1:])
        ex.resp_body, at = body(server, at, ex.resp_headers, True, ex.method == "HEAD" or ex.status in (204, 304))
    return found


def frames(data, at):
    """WebSocket messages (compressed?, payload) from one side."""
    kind, out, squeezed = None, b"", False
    while at + 2 <= len(data):
        first, second = data[at], data[at + 1]
        at += 2
        n = second & 127
        if n >= 126:
            size = 2 if n == 126 else 8
            n = int.from_bytes(data[at:at + size], "big")
            at += size
        mask = None
        if second & 128:
            mask, at = data[at:at + 4], at + 4
        payload, at = data[at:at + n], at + n
        if mask:
            payload = bytes(c ^ mask[i & 3] for i, c in enumerate(payload))
        if first & 15 >= 8:
            continue
        if first & 15:
            kind, out, squeezed = first & 15, b"", bool(first & 64)
        out += payload
        if first & 128 and kind is not None:
            yield squeezed, out
            kind = None


def websocket(sides, ident):
    """One exchange from a connection that was upgraded."""
    lines, at = head(sides[0], 0)
    answer, server_at = head(sides[1], 0)
    ex = truth_lib.Exchange((ident, 0), 0)
    ex.path, ex.req_headers = lines[0].split(" ")[1], fields(lines[1:])
    ex.ws = websocket_messages(sides, (at, server_at))
    return [ex]


def websocket_messages(sides, starts):
    found = []
    for direction, data, start in zip(("c2s", "s2c"), sides, starts):
        inflate = zlib.decompressobj(-15)
        for squeezed, payload in frames(data, start):
            if squeezed:
                payload = inflate.decompress(payload + b"\0\0\xff\xff")
            found.append((direction, payload.decode()))
    return found


def upgraded(sides, ident):
    """What HTTP/1.1 asked, HTTP/2 answers on stream 1."""
    lines, at = head(sides[0], 0)
    request = body(sides[0], at, fields(lines[1:]), False)
    _, server_at = head(sides[1], 0)
    found = http2((sides[0][request[1]:], sides[1][server_at:]), ident)
    found[0].req_body = request[0]
    return found


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TEXT_FRAME = (b"\x81", b"\xc1", b"\x01", b"\x41")


def http2(sides, ident):
    """Exchanges of an HTTP/2 connection by stream: DATA only, header fields are not decoded."""
    found = {}
    for side, data in enumerate(sides):
        at = len(PREFACE) if side == 0 else 0
        while at + 9 <= len(data):
            n = int.from_bytes(data[at:at + 3], "big")
            kind, flags, stream = data[at + 3], data[at + 4], int.from_bytes(data[at + 5:at + 9], "big")
            payload, at = data[at + 9:at + 9 + n], at + 9 + n
            if kind != 0:
                continue
            if flags & 8:
                payload = payload[1:len(payload) - payload[0]]
            ex = found.setdefault(stream, truth_lib.Exchange((ident, stream), 0))
            if side == 0:
                ex.req_body += payload
            else:
                ex.status = 200
                ex.resp_body += payload
    for ex in found.values():
        if ex.req_body[:1] in TEXT_FRAME:
            # Whether permessage-deflate was agreed on is in the first bit of each message.
            ex.ws = websocket_messages((ex.req_body, ex.resp_body), (0, 0))
            continue
        like_json = ex.resp_body[:1] in (b"{", b"[")
        ex.resp_headers = [["content-type", "application/json" if like_json else "text/event-stream"]]
    return [found[stream] for stream in sorted(found)]


def varint(data, at):
    size = 1 << (data[at] >> 6)
    return int.from_bytes(data[at:at + size], "big") & ((1 << size * 8 - 2) - 1), at + size


def http3(path, keylog):
    """Exchanges of HTTP/3 by stream: DATA only, header fields are not decoded."""
    out = tshark(path, keylog, "-Y", "quic.stream.stream_id", "-T", "fields", "-e", "quic.connection.number", "-e",
                 "quic.stream.stream_id")
    ids = set()
    for line in out.splitlines():
        connection_id, streams_seen = line.split("\t")
        ids |= {(int(connection_id.split(",")[0]), int(i)) for i in streams_seen.split(",")}
    for connection_id, stream in sorted(ids):
        if stream % 4:
            continue
        text = tshark(path, keylog, "-q", "-z", "follow,quic,raw,%d,%d" % (connection_id, stream))
        sides = [b"", b""]
        for line in text.splitlines():
            if re.fullmatch(r"\t?[0-9a-f]+", line):
                sides[line.startswith("\t")] += bytes.fromhex(line.strip())
        bodies = []
        for data in sides:
            at, body_bytes = 0, b""
            while at < len(data):
                kind, at = varint(data, at)
                n, at = varint(data, at)
                body_bytes += data[at:at + n] if kind == 0 else b""
                at += n
            bodies.append(body_bytes)
        ex = truth_lib.Exchange((connection_id, stream), 0)
        ex.req_body, ex.resp_body, ex.status = bodies[0], bodies[1], 200
        like_json = ex.resp_body[:1] in (b"{", b"[")
        ex.resp_headers = [["content-type", "application/json" if like_json else "text/event-stream"]]
        yield ex


def lines_of(sides, ident):
    """A bare stream of JSON lines."""
    ex = truth_lib.Exchange((ident, 0), 0)
    ex.raw = True
    ex.ws = [(direction, line) for direction, data in zip(("c2s", "s2c"), sides)
             for line in data.decode("utf-8", "replace").splitlines()]
    return [ex]


def without_preface(sides):
    """The two sides after a header of the PROXY protocol, or after SOCKS5 (no password)."""
    client, server = sides
    if client.startswith(b"PROXY "):
        return client[client.index(b"\r\n") + 2:], server
    if client.startswith(b"\r\n\r\n\0\r\nQUIT\n"):
        return client[16 + int.from_bytes(client[14:16], "big"):], server
    if client.startswith(b"\x05") and server.startswith(b"\x05\0"):
        return client[2 + client[1]:][socks5_len(client[2 + client[1]:]):], server[2:][socks5_len(server[2:]):]
    return sides


def socks5_len(message):
    """Of a request or its answer: version, command, reserved, an address by its type, a port."""
    return 4 + {1: 4, 3: 1 + message[4], 4: 16}[message[3]] + 2


def connection(sides, ident):
    sides = without_preface(sides)
    if sides[0].startswith(b"{"):
        return lines_of(sides, ident)
    if re.match(rb"[A-Z]{3,20} \S+ HTTP/\d", sides[1]):
        sides = sides[::-1]  # tshark's first side is the one whose data it saw first
    if sides[0].startswith(b"PRI * HTTP/2.0"):
        return http2(sides, ident)
    lines, _ = head(sides[0], 0)
    if PREFACE in sides[0] and sides[1].startswith(b"HTTP/1.1 101 "):
        return upgraded(sides, ident)
    if lines and (truth_lib.header(fields(lines[1:]), "upgrade") or "").lower() == "websocket":
        return websocket(sides, ident)
    return http1(sides, ident)


def check(path, row):
    keylog = path.parent / row["keylog"] if row["keylog"].endswith(".log") else None
    if row["notes"].startswith("derived from"):
        return 0, None
    bad = noise(path, keylog)
    if row["label"] != "mcp":
        return bad, None
    want = json.loads((path.parent / "truth" / (path.name + ".truth.json")).read_text())
    kind = "tls" if "TLS" in row["transport"] else "tcp"
    exchanges = []
    if row["http_version"] == "3":
        with tempfile.TemporaryDirectory() as folder:
            exchanges += http3(after_retry(path, folder), keylog)
    else:
        for i, sides in enumerate(streams(path, keylog, kind)):
            exchanges += connection(sides, i)
    got = truth_lib.summarise(exchanges)
    wrong = []
    for key in KEYS:
        a, b = want[key], got[key]
        if isinstance(a, list):
            a, b = sorted(map(str, a)), sorted(map(str, b))
        if a != b:
            wrong.append("%s: truth %s, tshark %s" % (key, a, b))
    return bad, wrong


def after_retry(path, folder):
    """A copy without the packets up to the last QUIC Retry: tshark 4.0 loses the keys of a connection there."""
    retries = tshark(path, None, "-Y", "quic.long.packet_type == 3 or quic.long.packet_type_v2 == 0", "-T", "fields",
                     "-e", "frame.number").split()
    if not retries:
        return path
    rest = pathlib.Path(folder) / path.name
    subprocess.run(["editcap", path, rest, "1-%s" % retries[-1]], check=True, capture_output=True)
    return rest


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("files", nargs="*", type=pathlib.Path)
    p.add_argument("--dir", type=pathlib.Path, default=HERE.parent)
    args = p.parse_args()
    rows = read_labels(args.dir / "LABELS.tsv")
    files = args.files or [args.dir / name for name in rows]
    failed = 0
    for path in files:
        bad, wrong = check(path, rows[path.name])
        said = "same" if wrong == [] else wrong if wrong else "-"
        if isinstance(said, list):
            failed += 1
            said = "DIFFERENT\n    " + "\n    ".join(said)
        failed += bool(bad)
        print("%-44s bad or lost packets %d  %s" % (path.name, bad, said), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
