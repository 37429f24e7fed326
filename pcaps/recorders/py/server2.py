"""An MCP server on the Python SDK 2.x: 2026-07-28 (stateless, server/discover) and, for older clients, initialize."""

import argparse
import asyncio
import json

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import (Completion, CreateMessageRequest, CreateMessageRequestParams, ElicitRequest,
                       ElicitRequestFormParams, InputRequiredResult, ListRootsRequest, SamplingMessage, TextContent)

from asgi_log import AsgiLog

STOCK = {"Dune": 3, "Emma": 1, "Ulysses": 0, "Šteger – 東京": 7}


def build(name):
    server = MCPServer(name, version="2.8.0", instructions="A bookshop.", log_level="ERROR")

    @server.tool()
    async def lookup(title: str) -> str:
        """Finds a book by its title."""
        return json.dumps({"title": title, "stock": STOCK.get(title)}, ensure_ascii=False)

    @server.tool()
    async def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    @server.tool()
    async def fail(reason: str) -> str:
        """Always fails."""
        raise RuntimeError(reason)

    @server.tool()
    async def count_slowly(steps: int, ctx: Context) -> str:
        """Counts, with progress and log messages."""
        for i in range(steps):
            await ctx.report_progress(i + 1, steps)
            await ctx.info({"step": i + 1})
            await asyncio.sleep(0.02)
        return "counted"

    @server.tool()
    async def confirm(title: str, ctx: Context) -> str | InputRequiredResult:
        """Asks the user (elicitation in an input_required result)."""
        answers = ctx.input_responses
        if not answers:
            return InputRequiredResult(input_requests={"sure": ElicitRequest(params=ElicitRequestFormParams(
                message="Really buy %s?" % title, requested_schema={
                    "type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}))})
        return "confirmed"

    @server.tool()
    async def ask_model(question: str, ctx: Context) -> str | InputRequiredResult:
        """Asks the client's model and its roots (sampling and roots in an input_required result)."""
        if not ctx.input_responses:
            return InputRequiredResult(input_requests={
                "answer": CreateMessageRequest(params=CreateMessageRequestParams(
                    messages=[SamplingMessage(role="user", content=TextContent(type="text", text=question))],
                    max_tokens=32)),
                "roots": ListRootsRequest()})
        return "asked"

    @server.tool()
    async def restock(times: int, ctx: Context) -> str:
        """Says that the tools and a resource have changed."""
        for _ in range(times):
            await ctx.notify_tools_changed()
            await ctx.notify_resource_updated("shop://stock")
        return "done"

    @server.resource("shop://stock", mime_type="application/json")
    async def stock() -> str:
        return json.dumps(STOCK, ensure_ascii=False)

    @server.resource("shop://book/{title}")
    async def book(title: str) -> str:
        return title

    @server.prompt()
    async def recommend(genre: str) -> str:
        """Recommends a book"""
        return "Recommend a %s book" % genre

    @server.completion()
    async def complete(ref, argument, context):
        return Completion(values=[v for v in ("crime", "comedy", "poetry") if v.startswith(argument.value)])

    return server


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, default=8000)
    p.add_argument("--name", default="bookshop-next")
    p.add_argument("--json", action="store_true")
    p.add_argument("--stateless", action="store_true")
    p.add_argument("--log", required=True)
    args = p.parse_args()
    app = build(args.name).streamable_http_app(
        json_response=args.json, stateless_http=args.stateless,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False))
    config = uvicorn.Config(AsgiLog(app, args.log), host="0.0.0.0", port=args.port, log_level="warning",
                            timeout_graceful_shutdown=1)
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
