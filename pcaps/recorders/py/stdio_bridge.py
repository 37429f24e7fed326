"""Drives a stdio MCP program (here: a bridge to a remote server) with the Python SDK 1.x client."""

import asyncio
import sys

import mcp.types as t
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main():
    program = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:])
    async with asyncio.timeout(45), stdio_client(program) as (read, write):
        async with ClientSession(read, write, client_info=t.Implementation(name="desktop", version="1.9")) as s:
            await s.initialize()
            await s.list_tools()
            await s.call_tool("add", {"a": 2, "b": 40})
            await s.call_tool("lookup", {"title": "Emma"})
            await s.list_resources()


asyncio.run(main())
