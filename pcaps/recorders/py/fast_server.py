"""An MCP server on fastmcp, as its documentation has it."""

import argparse

import uvicorn
from fastmcp import Context, FastMCP

from asgi_log import AsgiLog

mcp = FastMCP("garden", version="1.1.0")


@mcp.tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@mcp.tool
async def water(plants: int, ctx: Context) -> str:
    """Waters plants, with progress and log messages."""
    for i in range(plants):
        await ctx.report_progress(i + 1, plants)
        await ctx.info("plant %d" % (i + 1))
    return "watered"


@mcp.resource("garden://beds")
def beds() -> str:
    return "tomatoes, rhubarb"


@mcp.prompt
def plan(season: str) -> str:
    return "Plan the garden for %s" % season


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, default=8000)
    p.add_argument("--log", required=True)
    p.add_argument("--transport", default="http")
    args = p.parse_args()
    app = AsgiLog(mcp.http_app(transport=args.transport), args.log)
    uvicorn.run(app, host="0.0.0.0", port=args.port, log_level="warning", timeout_graceful_shutdown=1)


main()
