"""An httpx transport over HTTP/3 (aioquic), enough for an MCP client: one connection, streamed answers."""

import asyncio
import ssl

import httpx
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration


class Protocol(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.streams = {}

    def quic_event_received(self, event):
        for e in self.http.handle_event(event):
            if isinstance(e, HeadersReceived | DataReceived) and e.stream_id in self.streams:
                self.streams[e.stream_id].put_nowait(e)

    def start(self, headers, body):
        stream = self._quic.get_next_available_stream_id()
        self.streams[stream] = asyncio.Queue()
        self.http.send_headers(stream, headers, end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        return self.streams[stream]


class Body(httpx.AsyncByteStream):
    def __init__(self, queue, done):
        self.queue, self.done = queue, done

    async def __aiter__(self):
        while not self.done:
            e = await self.queue.get()
            if isinstance(e, DataReceived) and e.data:
                yield e.data
            self.done = e.stream_ended


class H3Transport(httpx.AsyncBaseTransport):
    def __init__(self, ca, keylog):
        self.ca, self.keylog = ca, keylog
        self.context = self.protocol = None
        self.lock = asyncio.Lock()

    async def connected(self, url):
        async with self.lock:
            if self.protocol is None:
                config = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=True, server_name=url.host,
                                           verify_mode=ssl.CERT_REQUIRED)
                config.load_verify_locations(self.ca)
                if self.keylog:
                    config.secrets_log_file = open(self.keylog, "a")
                self.context = connect(url.host, url.port or 443, configuration=config, create_protocol=Protocol)
                self.protocol = await self.context.__aenter__()
        return self.protocol

    async def handle_async_request(self, request):
        protocol = await self.connected(request.url)
        body = await request.aread()
        headers = [(b":method", request.method.encode()), (b":scheme", b"https"),
                   (b":authority", request.url.netloc), (b":path", request.url.raw_path)]
        headers += [(k.lower(), v) for k, v in request.headers.raw
                    if k.lower() not in (b"host", b"connection", b"transfer-encoding")]
        queue = protocol.start(headers, body)
        e = await queue.get()
        given = dict(e.headers)
        return httpx.Response(int(given[b":status"]), headers=[h for h in e.headers if not h[0].startswith(b":")],
                              stream=Body(queue, e.stream_ended))

    async def aclose(self):
        if self.context:
            self.protocol.close()
            await self.context.__aexit__(None, None, None)
