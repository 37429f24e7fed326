"""An MCP client on the Python SDK 2.x. `--mode auto` probes with server/discover and falls back to initialize."""

import argparse
import asyncio

import mcp_types as t
from mcp import Client


async def sampling(context, params):
    return t.CreateMessageResult(role="assistant", model="small-1", stop_reason="endTurn",
                                 content=t.TextContent(type="text", text="forty-two"))


async def roots(context):
    return t.ListRootsResult(roots=[t.Root(uri="file:///srv/books", name="books")])


async def elicit(context, params):
    return t.ElicitResult(action="accept", content={"sure": True})


async def attempt(call):
    try:
        await call
    except Exception as e:
        print("as meant:", type(e).__name__, str(e)[:80])


async def basic(c, args, n):
    await c.list_tools()
    await c.call_tool("lookup", {"title": "Šteger – 東京"})
    await c.call_tool("add", {"a": 2 + n, "b": 40})
    await c.list_resources()
    await c.read_resource("shop://stock")
    await c.list_prompts()
    await c.get_prompt("recommend", {"genre": "crime"})


async def full(c, args, n):
    await basic(c, args, n)
    await attempt(c.call_tool("fail", {"reason": "no stock"}))

    async def progress(*_):
        return None
    await c.call_tool("count_slowly", {"steps": 4}, progress_callback=progress)
    await c.call_tool("confirm", {"title": "Emma"})
    await c.call_tool("ask_model", {"question": "What is six times nine?"})
    await c.list_resource_templates()
    await c.read_resource("shop://book/Emma")
    await c.complete(t.PromptReference(type="ref/prompt", name="recommend"), {"name": "genre", "value": "c"})
    if c.protocol_version >= "2026":
        async with c.listen(tools_list_changed=True, resource_subscriptions=["shop://stock"]):
            await c.call_tool("restock", {"times": 2})
            await asyncio.sleep(0.3)
    await attempt(c.call_tool("no_such_tool", {}))


async def short(c, args, n):
    await c.list_tools()
    for i in range(args.calls):
        await c.call_tool("add", {"a": n, "b": i})


SCENES = {"basic": basic, "full": full, "short": short}


async def one(args, n):
    options = {"logging_callback": None}
    if args.scene == "full":
        async def logged(params):
            return None
        options = {"sampling_callback": sampling, "list_roots_callback": roots, "elicitation_callback": elicit,
                   "logging_callback": logged, "log_level": "info"}
    async with Client(args.url, mode=args.mode, client_info=t.Implementation(name=args.name, version="2.0.1"),
                      **options) as c:
        print("protocol", c.protocol_version)
        await SCENES[args.scene](c, args, n)


async def main():
    p = argparse.ArgumentParser()
    p.add_argument("url")
    p.add_argument("--scene", choices=SCENES, default="basic")
    p.add_argument("--mode", default="auto")
    p.add_argument("--name", default="reading-desk-next")
    p.add_argument("--sessions", type=int, default=1)
    p.add_argument("--calls", type=int, default=2)
    args = p.parse_args()
    async with asyncio.timeout(60):
        await asyncio.gather(*(one(args, n) for n in range(args.sessions)))


asyncio.run(main())
