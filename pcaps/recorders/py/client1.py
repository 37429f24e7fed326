"""An MCP client on the Python SDK 1.x: plays one of a few scenes against a server and leaves."""

import argparse
import asyncio
import contextlib
import importlib.metadata
import inspect
import socket
from urllib.parse import urlsplit, urlunsplit

import mcp.types as t
from mcp import ClientSession
from mcp.shared.context import RequestContext

VERSION = importlib.metadata.version("mcp")


async def sampling(context: RequestContext, params):
    return t.CreateMessageResult(role="assistant", model="small-1", stopReason="endTurn",
                                 content=t.TextContent(type="text", text="forty-two"))


async def roots(context):
    return t.ListRootsResult(roots=[t.Root(uri="file:///srv/books", name="books")])


async def elicit(context, params):
    return t.ElicitResult(action="accept", content={"sure": True})


def session(read, write, args, full):
    options = {"client_info": t.Implementation(name=args.name, version=args.version)}
    if full:
        options |= {"sampling_callback": sampling, "list_roots_callback": roots}
        if "elicitation_callback" in inspect.signature(ClientSession).parameters:
            options["elicitation_callback"] = elicit
    return ClientSession(read, write, **options)


def by_address(url):
    """The URL with the first address of its host, as the system's resolver has it."""
    parts = urlsplit(url)
    address = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)[0][4][0]
    host = "[%s]" % address if ":" in address else address
    return urlunsplit(parts._replace(netloc="%s:%d" % (host, parts.port or 443)))


def http_client(args):
    import httpx

    options = {"follow_redirects": True, "timeout": httpx.Timeout(20, read=60)}
    if args.proxy:
        options["proxy"] = args.proxy
    if args.ca:
        import ssl

        context = ssl.create_default_context(cafile=args.ca)
        if args.tls_max == "1.2":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = not args.by_address
        if args.keylog:
            context.keylog_filename = args.keylog
        options["verify"] = context
    if args.http2:
        options |= {"http2": True, "http1": not args.prior_knowledge}
    if args.quic:
        from h3_transport import H3Transport

        options["transport"] = H3Transport(args.ca, args.keylog, args.quic_version, args.move_after)
        options.pop("verify", None)
    if args.upgrade_h2c:
        from h2_client import UpgradeTransport

        options["transport"] = UpgradeTransport()
    headers = {}
    if args.token:
        headers["Authorization"] = "Bearer " + args.token
    if args.local:
        proxy = options.pop("proxy", None)
        options["transport"] = httpx.AsyncHTTPTransport(
            verify=options.pop("verify", True), http1=options.pop("http1", True), http2=options.pop("http2", False),
            local_address=args.local, proxy=proxy)
    return httpx.AsyncClient(headers=headers, **options)


@contextlib.asynccontextmanager
async def connect(args):
    if args.transport == "sse":
        from mcp.client.sse import sse_client

        async with sse_client(args.url) as streams:
            yield streams
    elif args.websockets:
        async with args.websockets() as streams:
            yield streams
    elif args.transport == "ws":
        from mcp.client.websocket import websocket_client

        async with websocket_client(args.url) as streams:
            yield streams
    else:
        from mcp.client import streamable_http

        if hasattr(streamable_http, "streamable_http_client"):
            own = None if args.http else http_client(args)
            async with own or contextlib.nullcontext(), streamable_http.streamable_http_client(
                    args.url, http_client=own or args.http) as streams:
                yield streams[:2]
        else:
            async with streamable_http.streamablehttp_client(args.url) as streams:
                yield streams[:2]


async def basic(s, args, n=0):
    await s.initialize()
    await s.list_tools()
    await s.call_tool("lookup", {"title": "Šteger – 東京"})
    await s.call_tool("add", {"a": 2 + n, "b": 40})
    await s.call_tool("reserve", {"title": "Dune", "copies": 2})
    await s.list_resources()
    await s.read_resource("shop://stock")
    await s.list_prompts()
    await s.get_prompt("recommend", {"genre": "crime"})


async def attempt(call):
    """A call that is meant to fail, one way or another."""
    try:
        await call
    except Exception as e:
        print("as meant:", type(e).__name__, str(e)[:80])


async def full(s, args, n=0):
    await s.initialize()
    await s.send_ping()
    await s.list_tools()
    await s.set_logging_level("info")
    await s.call_tool("lookup", {"title": "Šteger – 東京 \u2028 \"quoted\" \\ \U0001f4d6"})
    await s.call_tool("add", {"a": 2, "b": 40})
    await attempt(s.call_tool("fail", {"reason": "no stock"}))
    await s.call_tool("big", {"size": args.big})
    if "progress_callback" in inspect.signature(s.call_tool).parameters:
        async def progress(*_):
            return None
        await s.call_tool("count_slowly", {"steps": 4}, progress_callback=progress)
    else:
        await s.call_tool("count_slowly", {"steps": 4})
    await s.call_tool("ask_model", {"question": "What is six times nine?"})
    await s.call_tool("list_roots", {})
    if "elicitation_callback" in inspect.signature(ClientSession).parameters:
        await s.call_tool("confirm", {"title": "Emma"})
    await s.list_resources()
    await s.list_resource_templates()
    await s.read_resource("shop://stock")
    await s.read_resource("shop://logo")
    await s.read_resource("shop://book/Emma")
    await attempt(s.read_resource("shop://missing"))
    await s.subscribe_resource("shop://stock")
    await s.call_tool("restock", {"times": 2})
    await s.unsubscribe_resource("shop://stock")
    await s.list_prompts()
    await s.get_prompt("recommend", {"genre": "crime"})
    await s.complete(t.PromptReference(type="ref/prompt", name="recommend"), {"name": "genre", "value": "c"})
    await s.send_roots_list_changed()
    await attempt(s.call_tool("no_such_tool", {}))
    await s.send_ping()
    await asyncio.sleep(0.3)


async def short(s, args, n=0):
    await s.initialize()
    await s.list_tools()
    for i in range(args.calls):
        await s.call_tool("add", {"a": n, "b": i})
        await asyncio.sleep(0.01 * (n % 5))


async def progress(s, args, n=0):
    await s.initialize()
    await s.list_tools()
    async def told(*_):
        return None
    await s.call_tool("count_slowly", {"steps": 5}, progress_callback=told)
    await s.call_tool("ask_model", {"question": "Which book is about a whale?"})
    await s.call_tool("confirm", {"title": "Moby-Dick"})
    await asyncio.sleep(0.2)


SCENES = {"basic": basic, "full": full, "short": short, "progress": progress}


async def one(args, n=0):
    async with connect(args) as (read, write), session(read, write, args, args.scene in ("full", "progress")) as s:
        await SCENES[args.scene](s, args, n)
        if args.linger:
            await asyncio.sleep(args.linger)


async def main():
    p = argparse.ArgumentParser()
    p.add_argument("url")
    p.add_argument("--scene", choices=SCENES, default="basic")
    p.add_argument("--transport", choices=["http", "sse", "ws"], default="http")
    p.add_argument("--name", default="reading-desk")
    p.add_argument("--version", default="1.4.2")
    p.add_argument("--sessions", type=int, default=1)
    p.add_argument("--calls", type=int, default=2)
    p.add_argument("--big", type=int, default=60000)
    p.add_argument("--linger", type=float, default=0)
    p.add_argument("--token")
    p.add_argument("--proxy")
    p.add_argument("--local", help="source address")
    p.add_argument("--ca")
    p.add_argument("--keylog")
    p.add_argument("--tls-max", choices=["1.2", "1.3"], default="1.3")
    p.add_argument("--http2", action="store_true")
    p.add_argument("--prior-knowledge", action="store_true")
    p.add_argument("--upgrade-h2c", action="store_true", help="HTTP/2 from the first request's Upgrade on")
    p.add_argument("--deflate", action="store_true", help="WebSocket over HTTP/2: offer permessage-deflate")
    p.add_argument("--by-address", action="store_true", help="look the host up, then know its address only: no SNI")
    p.add_argument("--share", action="store_true", help="one HTTP client, so one HTTP/2 connection, for all sessions")
    p.add_argument("--quic", action="store_true")
    p.add_argument("--quic-version", type=int, choices=[1, 2], default=1)
    p.add_argument("--move-after", type=int, help="requests after which the client goes on at another port")
    args = p.parse_args()
    if args.by_address:
        args.url = by_address(args.url)
    args.http = args.websockets = None
    async with asyncio.timeout(60), contextlib.AsyncExitStack() as stack:
        if args.transport == "ws" and args.http2:
            from h2_client import websockets

            args.websockets = await stack.enter_async_context(
                websockets(args.url, args.ca, args.keylog, args.deflate))
        if args.share or args.quic or args.upgrade_h2c:
            args.http = await stack.enter_async_context(http_client(args))
        await asyncio.gather(*(one(args, n) for n in range(args.sessions)))


asyncio.run(main())
