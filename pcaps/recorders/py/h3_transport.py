"""An httpx transport over HTTP/3 (aioquic), enough for an MCP client: one connection, streamed answers."""

import asyncio
import socket
import ssl

import httpx
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion

VERSIONS = {1: QuicProtocolVersion.VERSION_1, 2: QuicProtocolVersion.VERSION_2}


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


class Moved(asyncio.DatagramProtocol):
    """Hands datagrams from another socket to a connection."""

    def __init__(self, protocol):
        self.protocol = protocol

    def datagram_received(self, data, addr):
        self.protocol.datagram_received(data, addr)


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
    def __init__(self, ca, keylog, version=1, move_after=None):
        self.ca, self.keylog, self.version, self.move_after = ca, keylog, VERSIONS[version], move_after
        self.requests = 0
        self.context = self.protocol = None
        self.lock = asyncio.Lock()

    async def connected(self, url):
        async with self.lock:
            if self.protocol is None:
                config = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=True, server_name=url.host,
                                           verify_mode=ssl.CERT_REQUIRED, original_version=self.version,
                                           supported_versions=[self.version])
                config.load_verify_locations(self.ca)
                if self.keylog:
                    config.secrets_log_file = open(self.keylog, "a")
                self.context = connect(url.host, url.port or 443, configuration=config, create_protocol=Protocol)
                self.protocol = await self.context.__aenter__()
        return self.protocol

    async def move(self, protocol):
        """Goes on at another port, as behind a NAT that forgot the connection."""
        old = protocol._transport
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: Moved(protocol), local_addr=("::", 0), family=socket.AF_INET6)
        protocol._transport = transport
        old.close()

    async def handle_async_request(self, request):
        protocol = await self.connected(request.url)
        body = await request.aread()
        self.requests += 1
        if self.requests == self.move_after:
            await self.move(protocol)
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
