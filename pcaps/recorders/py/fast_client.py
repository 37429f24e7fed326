"""The client of fastmcp against py/fast_server.py."""

import asyncio
import sys

from fastmcp import Client
from mcp.types import Implementation


async def main():
    async with asyncio.timeout(40):
        async with Client(sys.argv[1], client_info=Implementation(name="gardener", version="0.5")) as c:
            await c.ping()
            await c.list_tools()
            await c.call_tool("add", {"a": 2, "b": 40})
            await c.call_tool("water", {"plants": 3})
            await c.list_resources()
            await c.read_resource("garden://beds")
            await c.list_prompts()
            await c.get_prompt("plan", {"season": "spring"})


asyncio.run(main())
