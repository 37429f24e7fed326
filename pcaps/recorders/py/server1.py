"""An MCP server on the Python SDK 1.x (1.8 to 1.30), low-level API.

A small bookshop with every feature of the protocol: tools, resources,
prompts, completion, logging, progress, sampling, elicitation, roots, list
changes, tool errors.
"""

import argparse
import asyncio
import base64
import contextlib
import importlib.metadata
import inspect
import json

import mcp.types as t
from mcp.server.lowlevel import Server
from mcp.server.lowlevel.helper_types import ReadResourceContents
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute

from asgi_log import AsgiLog

VERSION = importlib.metadata.version("mcp")
MODERN = tuple(int(p) for p in VERSION.split(".")[:2]) >= (1, 10)  # elicitation, structured content

STOCK = {"Dune": 3, "Emma": 1, "Ulysses": 0, "Šteger – 東京": 7}


def obj(**props):
    return {"type": "object", "properties": props, "required": list(props)}


def text(value):
    return [t.TextContent(type="text", text=value)]


def tools():
    string, integer = {"type": "string"}, {"type": "integer"}
    all_tools = [
        ("lookup", "Finds a book by its title.", obj(title=string)),
        ("add", "Adds two numbers.", obj(a=integer, b=integer)),
        ("reserve", "Reserves copies of a book.", obj(title=string, copies=integer)),
        ("fail", "Always fails.", obj(reason=string)),
        ("big", "Gives a long text.", obj(size=integer)),
        ("count_slowly", "Counts, with progress and log messages.", obj(steps=integer)),
        ("ask_model", "Asks the client's model (sampling).", obj(question=string)),
        ("list_roots", "Asks the client for its roots.", {"type": "object", "properties": {}}),
        ("restock", "Says that lists and a resource have changed.", obj(times=integer)),
    ]
    if MODERN:
        all_tools.append(("confirm", "Asks the user (elicitation).", obj(title=string)))
    return [t.Tool(name=n, description=d, inputSchema=s) for n, d, s in all_tools]


def related(ctx, send, *args, **kwargs):
    """Sends a message on the answer stream of the request it belongs to, where the SDK can."""
    if "related_request_id" in inspect.signature(send).parameters:
        kwargs["related_request_id"] = ctx.request_id
    return send(*args, **kwargs)


def build(name):
    server = Server(name, version=VERSION)

    @server.list_tools()
    async def _list_tools():
        return tools()

    @server.call_tool()
    async def _call_tool(name, arguments):
        ctx = server.request_context
        if name == "lookup":
            return text(json.dumps({"title": arguments["title"], "stock": STOCK.get(arguments["title"])},
                                   ensure_ascii=False))
        if name == "add":
            return text(str(arguments["a"] + arguments["b"]))
        if name == "reserve":
            return text("reserved %(copies)s of %(title)s" % arguments)
        if name == "fail":
            raise RuntimeError(arguments["reason"])
        if name == "big":
            line = "All this happened, more or less. "
            return text((line * (arguments["size"] // len(line) + 1))[: arguments["size"]])
        if name == "count_slowly":
            token = ctx.meta.progressToken if ctx.meta else None
            for i in range(arguments["steps"]):
                if token is not None:
                    await related(ctx, ctx.session.send_progress_notification, token, i + 1, arguments["steps"])
                await related(ctx, ctx.session.send_log_message, "info", {"step": i + 1}, "shop")
                await asyncio.sleep(0.02)
            return text("counted")
        if name == "ask_model":
            ask = t.SamplingMessage(role="user", content=t.TextContent(type="text", text=arguments["question"]))
            answer = await related(ctx, ctx.session.create_message, [ask], max_tokens=64)
            return text("model said: %s" % answer.content.text)
        if name == "list_roots":
            roots = await ctx.session.list_roots()
            return text(",".join(str(r.uri) for r in roots.roots))
        if name == "restock":
            for _ in range(arguments["times"]):
                await ctx.session.send_tool_list_changed()
                await ctx.session.send_resource_list_changed()
                await ctx.session.send_prompt_list_changed()
                await ctx.session.send_resource_updated("shop://stock")
            return text("done")
        if name == "confirm" and MODERN:
            answer = await related(ctx, ctx.session.elicit, "Really buy %s?" % arguments["title"],
                                   obj(sure={"type": "boolean"}))
            return text("%s %s" % (answer.action, answer.content))
        raise ValueError("Unknown tool: %s" % name)

    @server.list_resources()
    async def _list_resources():
        return [t.Resource(uri="shop://stock", name="stock", mimeType="application/json"),
                t.Resource(uri="shop://logo", name="logo", mimeType="image/png")]

    @server.list_resource_templates()
    async def _templates():
        return [t.ResourceTemplate(uriTemplate="shop://book/{title}", name="book")]

    @server.read_resource()
    async def _read(uri):
        uri = str(uri)
        if uri == "shop://stock":
            return [ReadResourceContents(json.dumps(STOCK, ensure_ascii=False), "application/json")]
        if uri == "shop://logo":
            return [ReadResourceContents(base64.b64decode("iVBORw0KGgo="), "image/png")]
        if uri.startswith("shop://book/"):
            return [ReadResourceContents(uri.rsplit("/", 1)[1], "text/plain")]
        raise ValueError("no such resource")

    @server.subscribe_resource()
    async def _subscribe(uri):
        return None

    @server.unsubscribe_resource()
    async def _unsubscribe(uri):
        return None

    @server.list_prompts()
    async def _prompts():
        return [t.Prompt(name="recommend", description="Recommends a book",
                         arguments=[t.PromptArgument(name="genre", required=True)])]

    @server.get_prompt()
    async def _prompt(name, arguments):
        return t.GetPromptResult(messages=[t.PromptMessage(
            role="user", content=t.TextContent(type="text", text="Recommend a %s book" % arguments["genre"]))])

    @server.completion()
    async def _complete(ref, argument, *rest):
        return t.Completion(values=[v for v in ("crime", "comedy", "poetry") if v.startswith(argument.value)])

    @server.set_logging_level()
    async def _level(level):
        return None

    return server


class EventStore:
    """Keeps events for Last-Event-ID. Identifiers count up over all streams."""

    def __init__(self):
        self.events = []

    async def store_event(self, stream_id, message):
        self.events.append((stream_id, message))
        return "ev-%d" % len(self.events)

    async def replay_events_after(self, last_event_id, send_callback):
        from mcp.server.streamable_http import EventMessage

        at = int(last_event_id[3:])
        stream = self.events[at - 1][0]
        for i in range(at, len(self.events)):
            if self.events[i][0] == stream and self.events[i][1] is not None:
                await send_callback(EventMessage(self.events[i][1], "ev-%d" % (i + 1)))
        return stream


class Bearer:
    """401 with a WWW-Authenticate header unless the fixed token is there."""

    def __init__(self, app, token):
        self.app, self.token = app, token

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            if headers.get(b"authorization") != b"Bearer " + self.token.encode():
                await receive()
                response = JSONResponse({"error": "invalid_token"}, 401,
                                        {"WWW-Authenticate": 'Bearer realm="shop", error="invalid_token"'})
                return await response(scope, receive, send)
        await self.app(scope, receive, send)


class NoConnectionHeader:
    """Drops `Connection` of answers, which HTTP/3 forbids and event streams carry."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def without(message):
            if message["type"] == "http.response.start":
                message["headers"] = [h for h in message.get("headers", []) if h[0].lower() != b"connection"]
            await send(message)
        await self.app(scope, receive, without)


def app(args):
    server = build(args.name)
    options = {}
    routes = []
    if args.transport == "http":
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        if args.events:
            options["event_store"] = EventStore()
        if args.retry is not None:
            options["retry_interval"] = args.retry
        manager = StreamableHTTPSessionManager(server, json_response=args.json, stateless=args.stateless, **options)

        class Endpoint:
            async def __call__(self, scope, receive, send):
                await manager.handle_request(scope, receive, send)

        routes = [Route(args.path, Endpoint(), methods=["GET", "POST", "DELETE"])]

        @contextlib.asynccontextmanager
        async def lifespan(_app):
            async with manager.run():
                yield
    else:
        lifespan = None
    if args.transport == "sse":
        from mcp.server.sse import SseServerTransport

        sse = SseServerTransport("/messages/")

        async def handle(request):
            async with sse.connect_sse(request.scope, request.receive, request._send) as (r, w):
                await server.run(r, w, server.create_initialization_options())
            return Response()

        routes = [Route(args.path, handle, methods=["GET"]), Mount("/messages/", app=sse.handle_post_message)]
    if args.transport == "ws":
        from mcp.server.websocket import websocket_server

        async def socket(websocket):
            async with websocket_server(websocket.scope, websocket.receive, websocket.send) as (r, w):
                await server.run(r, w, server.create_initialization_options())

        routes = [WebSocketRoute(args.path, socket)]
    asgi = Starlette(routes=routes, lifespan=lifespan)
    if args.quic:
        asgi = NoConnectionHeader(asgi)
    if args.token:
        asgi = Bearer(asgi, args.token)
    return AsgiLog(asgi, args.log)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--host", default="0.0.0.0")
    p.add_argument("--port", type=int, default=8000)
    p.add_argument("--path", default="/mcp")
    p.add_argument("--transport", choices=["http", "sse", "ws"], default="http")
    p.add_argument("--name", default="bookshop")
    p.add_argument("--json", action="store_true")
    p.add_argument("--stateless", action="store_true")
    p.add_argument("--events", action="store_true")
    p.add_argument("--retry", type=int)
    p.add_argument("--token")
    p.add_argument("--log", required=True)
    p.add_argument("--serve", choices=["uvicorn", "hypercorn"], default="uvicorn")
    p.add_argument("--deflate", action="store_true", help="offer permessage-deflate")
    p.add_argument("--cert")
    p.add_argument("--key")
    p.add_argument("--tls-max", choices=["1.2", "1.3"], default="1.3")
    p.add_argument("--quic", action="store_true")
    p.add_argument("--quic-retry", action="store_true", help="QUIC with aioquic's server, which validates addresses")
    args = p.parse_args()
    if args.quic_retry:
        import h3_server

        args.quic = True
        asyncio.run(h3_server.run(app(args), args.host, args.port, args.cert, args.key))
    elif args.serve == "uvicorn":
        import uvicorn

        extra = {}
        if args.cert:
            import ssl

            extra = {"ssl_certfile": args.cert, "ssl_keyfile": args.key}
        config = uvicorn.Config(app(args), host=args.host, port=args.port, log_level="warning",
                                timeout_graceful_shutdown=1, ws_per_message_deflate=args.deflate, **extra)
        if args.cert and args.tls_max == "1.2":
            config.load()
            config.ssl.maximum_version = ssl.TLSVersion.TLSv1_2
        uvicorn.Server(config).run()
    else:
        from hypercorn.asyncio import serve
        from hypercorn.config import Config

        config = Config()
        config.graceful_timeout = 1
        if args.quic:
            config.quic_bind = ["%s:%d" % (args.host, args.port)]
        config.bind = ["%s:%d" % (args.host, args.port)]
        if args.cert:
            config.certfile, config.keyfile = args.cert, args.key
            config.ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20"
        asyncio.run(serve(app(args), config))


if __name__ == "__main__":
    main()
