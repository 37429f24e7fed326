"""HTTP/3 with address validation: an ASGI application behind aioquic's own server, which sends Retry packets."""

import asyncio

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated


class Exchange:
    """One request, as ASGI sees it."""

    def __init__(self, protocol, stream, headers):
        self.protocol, self.stream = protocol, stream
        self.inbox = asyncio.Queue()
        given = dict(headers)
        path, _, query = given[b":path"].partition(b"?")
        fields = [(b"host", given[b":authority"])] + [h for h in headers if not h[0].startswith(b":")]
        self.scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "3", "scheme": "https",
                      "method": given[b":method"].decode(), "path": path.decode(), "raw_path": path,
                      "query_string": query, "root_path": "", "headers": fields, "server": None, "client": None}

    async def send(self, message):
        http, stream = self.protocol.http, self.stream
        if message["type"] == "http.response.start":
            status = (b":status", str(message["status"]).encode())
            http.send_headers(stream, [status] + [(k.lower(), v) for k, v in message.get("headers", [])])
        elif message["type"] == "http.response.body":
            http.send_data(stream, message.get("body", b""), end_stream=not message.get("more_body", False))
        self.protocol.transmit()

    async def run(self, app):
        await app(self.scope, self.inbox.get, self.send)


class Server(QuicConnectionProtocol):
    def __init__(self, *args, app, **kwargs):
        super().__init__(*args, **kwargs)
        self.app = app
        self.http = H3Connection(self._quic)
        self.exchanges = {}

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            for exchange, _ in self.exchanges.values():
                exchange.inbox.put_nowait({"type": "http.disconnect"})
        for e in self.http.handle_event(event):
            if isinstance(e, HeadersReceived):
                exchange = Exchange(self, e.stream_id, e.headers)
                self.exchanges[e.stream_id] = exchange, asyncio.ensure_future(exchange.run(self.app))
                if e.stream_ended:
                    self.received(e.stream_id, b"", True)
            elif isinstance(e, DataReceived):
                self.received(e.stream_id, e.data, e.stream_ended)

    def received(self, stream, data, ended):
        inbox = self.exchanges[stream][0].inbox
        inbox.put_nowait({"type": "http.request", "body": data, "more_body": not ended})


async def lifespan(app):
    """Starts an application; a second event at the queue would end it."""
    inbox, started = asyncio.Queue(), asyncio.Event()

    async def send(message):
        if message["type"] == "lifespan.startup.complete":
            started.set()

    inbox.put_nowait({"type": "lifespan.startup"})
    task = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, inbox.get, send))
    await asyncio.wait_for(started.wait(), 10)
    return task


async def run(app, host, port, cert, key):
    config = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    config.load_cert_chain(cert, key)
    running = await lifespan(app)
    await serve(host, port, configuration=config, retry=True,
                create_protocol=lambda *args, **kwargs: Server(*args, app=app, **kwargs))
    await running
