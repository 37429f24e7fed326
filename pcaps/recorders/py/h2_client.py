"""HTTP/2 as httpx does not speak it (h2, wsproto): `Upgrade: h2c`, and WebSocket over it (RFC 8441)."""

import asyncio
import contextlib
import json
import ssl
from urllib.parse import urlsplit

import anyio
import h2.config
import h2.connection
import h2.events
import h2.settings
import httpx
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage
from wsproto.extensions import PerMessageDeflate

HOP_BY_HOP = (b"host", b"connection", b"transfer-encoding")


class H2Connection:
    """One HTTP/2 connection; the events of a stream are in a queue of its own."""

    def __init__(self):
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self.streams = {}
        self.extended_connect = asyncio.Event()
        self.window = asyncio.Event()
        self.task = None

    async def open(self, url, context=None):
        self.reader, self.writer = await asyncio.open_connection(
            url.hostname, url.port, ssl=context, server_hostname=url.hostname if context else None)

    def start(self, already=b""):
        self.flush()
        self.task = asyncio.create_task(self.read(already))

    def flush(self):
        self.writer.write(self.h2.data_to_send())

    async def read(self, data):
        while True:
            for e in self.h2.receive_data(data) if data else ():
                self.handle(e)
            self.flush()
            data = await self.reader.read(65536)
            if not data:
                return

    def handle(self, e):
        if isinstance(e, h2.events.RemoteSettingsChanged):
            changed = e.changed_settings.get(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL)
            if changed and changed.new_value:
                self.extended_connect.set()
        elif isinstance(e, h2.events.WindowUpdated):
            self.window.set()
        elif isinstance(e, h2.events.DataReceived):
            self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        stream = getattr(e, "stream_id", None)
        if stream in self.streams:
            self.streams[stream].put_nowait(e)

    def begin(self, headers, end_stream=False):
        stream = self.h2.get_next_available_stream_id()
        self.streams[stream] = asyncio.Queue()
        self.h2.send_headers(stream, headers, end_stream=end_stream)
        self.flush()
        return stream

    async def send(self, stream, data, end_stream=False):
        while data:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room <= 0:
                self.window.clear()
                await self.window.wait()
                continue
            piece, data = data[:room], data[room:]
            self.h2.send_data(stream, piece, end_stream=end_stream and not data)
            self.flush()

    async def close(self):
        if self.task:
            self.h2.close_connection()
            self.flush()
            self.task.cancel()
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class Body(httpx.AsyncByteStream):
    def __init__(self, queue):
        self.queue = queue

    async def __aiter__(self):
        while True:
            e = await self.queue.get()
            if isinstance(e, h2.events.DataReceived):
                yield e.data
            elif isinstance(e, h2.events.StreamEnded | h2.events.StreamReset):
                return


class UpgradeTransport(httpx.AsyncBaseTransport):
    """Begins with an HTTP/1.1 request that asks for h2c, goes on in HTTP/2."""

    def __init__(self):
        self.connection = None
        self.lock = asyncio.Lock()

    async def upgrade(self, request, body):
        url = urlsplit(str(request.url))
        c = self.connection = H2Connection()
        await c.open(url)
        settings = c.h2.initiate_upgrade_connection()
        head = [b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
        head += [b"%s: %s" % field for field in request.headers.raw if field[0].lower() != b"connection"]
        head += [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: " + settings, b"", b""]
        c.writer.write(b"\r\n".join(head) + body)
        answer = await c.reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 101 "):
            raise RuntimeError("no upgrade: %r" % answer)
        c.streams[1] = asyncio.Queue()
        c.start()
        return 1

    async def ask(self, request, body):
        async with self.lock:
            if self.connection is None:
                return await self.upgrade(request, body)
        headers = [(b":method", request.method.encode()), (b":scheme", b"http"),
                   (b":authority", request.url.netloc), (b":path", request.url.raw_path)]
        headers += [(k.lower(), v) for k, v in request.headers.raw if k.lower() not in HOP_BY_HOP]
        stream = self.connection.begin(headers, end_stream=not body)
        await self.connection.send(stream, body, end_stream=True)
        return stream

    async def handle_async_request(self, request):
        stream = await self.ask(request, await request.aread())
        queue = self.connection.streams[stream]
        while True:
            e = await queue.get()
            if isinstance(e, h2.events.ResponseReceived):
                break
        given = dict(e.headers)
        return httpx.Response(int(given[b":status"]), headers=[h for h in e.headers if not h[0].startswith(b":")],
                              stream=Body(queue))

    async def aclose(self):
        if self.connection:
            await self.connection.close()


@contextlib.asynccontextmanager
async def websockets(url, ca, keylog, deflate):
    """An HTTP/2 connection, in TLS for `wss`; gives a function that opens a WebSocket on it, as `websocket_client` does."""
    url = urlsplit(url)
    context = None
    if url.scheme == "wss":
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["h2"])
    if context and keylog:
        context.keylog_filename = keylog
    c = H2Connection()
    await c.open(url, context)
    c.h2.initiate_connection()
    c.start()
    await asyncio.wait_for(c.extended_connect.wait(), 10)
    try:
        yield lambda: websocket(c, url, deflate)
    finally:
        await c.close()


async def handshake(c, url, extensions):
    headers = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"https" if url.scheme == "wss" else b"http"),
               (b":path", url.path.encode()), (b":authority", url.netloc.encode()),
               (b"sec-websocket-version", b"13"), (b"sec-websocket-protocol", b"mcp")]
    headers += [(b"sec-websocket-extensions", b"%s; %s" % (x.name.encode(), x.offer().encode())) for x in extensions]
    stream = c.begin(headers)
    e = await c.streams[stream].get()
    given = dict(e.headers)
    if given[b":status"] != b"200" or given.get(b"sec-websocket-protocol") != b"mcp":
        raise RuntimeError("no WebSocket: %r" % given)
    for extension in extensions:
        extension.finalize(given[b"sec-websocket-extensions"].decode())
    return stream


@contextlib.asynccontextmanager
async def websocket(c, url, deflate):
    import mcp.types as types
    from mcp.shared.message import SessionMessage

    extensions = [PerMessageDeflate()] if deflate else []
    stream = await handshake(c, url, extensions)
    ws = Connection(ConnectionType.CLIENT, extensions)
    into, read = anyio.create_memory_object_stream(0)
    write, out = anyio.create_memory_object_stream(0)

    async def reader():
        text = ""
        async with into:
            while True:
                e = await c.streams[stream].get()
                if isinstance(e, h2.events.StreamEnded | h2.events.StreamReset):
                    return
                if not isinstance(e, h2.events.DataReceived):
                    continue
                ws.receive_data(e.data)
                for event in ws.events():
                    if isinstance(event, TextMessage):
                        text += event.data
                        if event.message_finished:
                            await into.send(SessionMessage(types.JSONRPCMessage.model_validate_json(text)))
                            text = ""

    async def writer():
        async with out:
            async for message in out:
                body = message.message.model_dump(by_alias=True, mode="json", exclude_none=True)
                await c.send(stream, ws.send(TextMessage(data=json.dumps(body))))

    async with anyio.create_task_group() as group:
        group.start_soon(reader)
        group.start_soon(writer)
        yield read, write
        group.cancel_scope.cancel()
    await c.send(stream, ws.send(CloseConnection(code=1000)))
    await asyncio.sleep(0.2)
