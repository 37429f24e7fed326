"""Writes client.bin, server.bin and expected.txt: a connection between two
endpoints of python-h2 (4.4, with hpack 4.2), and what they were told to send.

Usage: python generate.py DIRECTORY
"""

import random
import sys
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

STATUS = ["200", "202", "404"]
TYPES = ["text/event-stream", "application/json"]

rng = random.Random(3)
client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
server = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
sent = {"client": bytearray(), "server": bytearray()}
log = {"client": [], "server": []}


def flush():
    for _ in range(4):
        data = client.data_to_send()
        sent["client"].extend(data)
        server.receive_data(data)
        data = server.data_to_send()
        sent["server"].extend(data)
        client.receive_data(data)


def note(side, *lines):
    log[side].extend(lines)


def note_fields(side, fields):
    note(side, *(f"{name}: {value}" for name, value in fields if not name.startswith(":")))


def note_body(side, prefix, text):
    text = text.replace('"', '\\"')
    if log[side] and log[side][-1].startswith(prefix):
        log[side][-1] += text
    else:
        note(side, prefix + text)


def request(number):
    stream = client.get_next_available_stream_id()
    method = "POST" if number % 3 else "GET"
    path = f"/mcp?n={number}"
    fields = [
        (":method", method),
        (":scheme", "https"),
        (":authority", "mcp.example.com"),
        (":path", path),
        ("user-agent", "python-httpx/0.28.1"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-session-id", f"{rng.getrandbits(128):032x}"),
        ("cookie", f"a={number}"),
        ("cookie", "b=2"),
    ]
    weight = 20 if number == 4 else None
    client.send_headers(stream, fields, end_stream=method == "GET", priority_weight=weight)
    note("client", f">{stream} {method} {path} https//mcp.example.com")
    note_fields("client", fields)
    if method == "POST":
        body = f'{{"jsonrpc":"2.0","id":{number}}}'
        client.send_data(stream, body[:9].encode(), pad_length=7 if number == 7 else None)
        client.send_data(stream, body[9:].encode(), end_stream=True)
        note_body("client", f">{stream} body ", body)
    note("client", f">{stream} end")
    return stream


def response(number, stream):
    if number == 2:
        server.send_headers(stream, [(":status", "103"), ("link", "</x>")])
    fields = [
        (":status", STATUS[number % 3]),
        ("content-type", TYPES[number % 2]),
        ("server", "hypercorn-h2"),
        ("date", f"Fri, 20 Nov 2026 23:00:{number:02} GMT"),
    ]
    server.send_headers(stream, fields)
    note("server", f"<{stream} {STATUS[number % 3]}")
    note_fields("server", fields)


client.initiate_connection()
client.update_settings({SettingCodes.HEADER_TABLE_SIZE: 300})
server.update_settings({SettingCodes.HEADER_TABLE_SIZE: 16384})
server.initiate_connection()
flush()

streams = []
for number in range(12):
    streams.append(request(number))
    if number % 4 == 3:
        flush()
flush()

rng.shuffle(streams)
answered = []
for number, stream in enumerate(streams):
    response(number, stream)
    answered.append(stream)
    if number == 6:
        server.ping(b"12345678")
    if number % 3 == 2:
        for each in answered:
            server.send_data(each, f"data: {each};".encode())
            note_body("server", f"<{each} body ", f"data: {each};")
        flush()
        ended = answered.pop(0)
        server.send_headers(ended, [("x-trailer", "1")], end_stream=True)
        note("server", f"<{ended} end", f".{ended}")
        ended = answered.pop(1)
        server.end_stream(ended)
        note("server", f"<{ended} end", f".{ended}")
    flush()
for stream in answered:
    server.reset_stream(stream, error_code=8)
    note("server", f"<{stream} cut", f".{stream}")
server.close_connection()
flush()

directory = Path(sys.argv[1])
for side, data in sent.items():
    (directory / f"{side}.bin").write_bytes(data)
(directory / "expected.txt").write_text("\n".join(log["client"] + log["server"]) + "\n")
