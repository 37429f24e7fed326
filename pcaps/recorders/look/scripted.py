"""Servers that look like MCP and are not. One ASGI application; `--port` and a path choose what is served."""

import argparse
import asyncio
import json
import pathlib
import time

import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

TOOLS_RESULT = {"jsonrpc": "2.0", "id": 1, "result": {"tools": [
    {"name": "get_weather", "description": "The weather", "inputSchema": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]}}
INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
    "protocolVersion": "2025-11-25", "capabilities": {"roots": {"listChanged": True}},
    "clientInfo": {"name": "claude-code", "version": "2.1.0"}}}
CALL = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
    "name": "get_weather", "arguments": {"city": "Bergen"}}}
DISCOVER = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}}}

BLOG = """<!doctype html><html><head><title>How MCP works on the wire</title>
<script type="application/ld+json">{"@context":"https://schema.org","@type":"TechArticle","headline":"MCP"}</script>
</head><body><h1>The Model Context Protocol by example</h1>
<p>A client begins with a POST to <code>/mcp</code>:</p>
<pre>POST /mcp HTTP/1.1
Accept: application/json, text/event-stream
Mcp-Session-Id: 5b1c2a4e

%s</pre>
<p>and goes on with</p><pre>%s
%s</pre>
<script>const example = %s; // "method": "tools/list", "jsonrpc": "2.0"
</script>
<p>An event stream begins with</p><pre>event: endpoint
data: /messages?sessionId=123</pre></body></html>""" % (
    json.dumps(INITIALIZE, indent=2), json.dumps(CALL), json.dumps(DISCOVER), json.dumps(TOOLS_RESULT))


async def blog(request):
    return HTMLResponse(BLOG)


async def home(request):
    host = request.headers.get("host", "")
    return HTMLResponse("<!doctype html><title>%s</title><h1>Medium-capacity pumps</h1><p>%s</p><img src=/logo.png>"
                        % (host, "MCP 3000 and MCP 5000: quiet, strong pumps. " * 40))


async def logo(request):
    return Response(bytes(range(256)) * 40, media_type="image/png")


async def mcp_page(request):
    return HTMLResponse("<!doctype html><title>MCP</title><h1>Microsoft Certified Professional</h1>" + "<p>Exams</p>" * 50)


async def ticker(request):
    async def events():
        yield ": hello\n\n"
        for i in range(12):
            yield "event: message\nid: %d\ndata: %s\n\n" % (
                i, json.dumps({"symbol": "ACME", "price": 100 + i, "method": "trade", "id": i}))
            await asyncio.sleep(0.05)
        yield "event: ping\ndata: {}\n\n"
    return StreamingResponse(events(), media_type="text/event-stream")


async def endpoint_event(request):
    async def events():
        yield "event: endpoint\ndata: %s\n\n" % (
            "/messages?sessionId=4f1f3c7e-7c1e-4a38-8d0e-6f0a6ad3b0aa" if request.url.path == "/sse" else
            json.dumps({"endpoint": "eu-west-1", "healthy": True}))
        for i in range(5):
            await asyncio.sleep(0.05)
            yield "event: message\ndata: %s\n\n" % json.dumps({"chat": "room-%d" % i, "text": "hello"})
    return StreamingResponse(events(), media_type="text/event-stream")


async def chat_post(request):
    await request.json()
    return PlainTextResponse("Accepted", 202)


async def payments(request):
    body = await request.json()
    return JSONResponse({"id": body.get("id"), "method": body.get("method"), "result": {"status": "paid"},
                         "tools": [{"name": "hammer"}]})


async def ingest(request):
    await request.body()
    return JSONResponse({"items": [{"status": 201}]}, 200)


async def acp(websocket):
    """Agent Client Protocol: JSON-RPC with initialize, an INTEGER protocolVersion and session/* methods."""
    await websocket.accept()
    async for text in websocket.iter_text():
        m = json.loads(text)
        if m["method"] == "initialize":
            result = {"protocolVersion": 1, "agentCapabilities": {"loadSession": True},
                      "agentInfo": {"name": "pair", "version": "0.4.0"}, "authMethods": []}
        elif m["method"] == "session/new":
            result = {"sessionId": "sess_1"}
        else:
            await websocket.send_text(json.dumps({"jsonrpc": "2.0", "method": "session/update", "params": {
                "sessionId": "sess_1", "update": {"sessionUpdate": "agent_message_chunk",
                                                  "content": {"type": "text", "text": "Done"}}}}))
            result = {"stopReason": "end_turn"}
        await websocket.send_text(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": result}))
    await websocket.close()


async def acp_http(request):
    m = await request.json()
    result = {"protocolVersion": 1, "agentCapabilities": {}} if m["method"] == "initialize" else {"sessionId": "sess_1"}
    return JSONResponse({"jsonrpc": "2.0", "id": m["id"], "result": result})


async def chat_completions(request):
    """An OpenAI-style API: SSE deltas with tool calls, one of a tool named `tools/call`."""
    body = await request.json()

    def chunk(delta, finish=None):
        return "data: %s\n\n" % json.dumps({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": int(time.time()), "model": body["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    async def events():
        yield chunk({"role": "assistant", "content": None, "tool_calls": [
            {"index": 0, "id": "call_1", "type": "function", "function": {"name": "tools_call", "arguments": ""}}]})
        for part in json.dumps(CALL):
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
        yield chunk({}, "tool_calls")
        yield "data: [DONE]\n\n"
    if body.get("stream"):
        return StreamingResponse(events(), media_type="text/event-stream")
    return JSONResponse({"id": "chatcmpl-2", "object": "chat.completion", "created": int(time.time()),
                         "model": body["model"], "choices": [{"index": 0, "finish_reason": "stop", "message": {
                             "role": "assistant", "content": "MCP sends " + json.dumps(INITIALIZE)}}],
                         "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})


async def rpc(request):
    """JSON-RPC 2.0 that is not MCP: a bitcoin-like node and a home theatre."""
    body = await request.json()
    answer = lambda m: {"jsonrpc": "2.0", "id": m.get("id"), "result": "pong"}  # noqa: E731
    return JSONResponse([answer(m) for m in body] if isinstance(body, list) else answer(body))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, default=8000)
    p.add_argument("--fixtures", default=".")
    args = p.parse_args()
    fixtures = pathlib.Path(args.fixtures) / "fixtures"
    fixtures.mkdir(exist_ok=True)
    (fixtures / "tools-list.json").write_text(json.dumps(TOOLS_RESULT, indent=2))
    (fixtures / "initialize.json").write_text(json.dumps(INITIALIZE))
    (fixtures / "discover.json").write_text(json.dumps(DISCOVER))
    (fixtures / "trace.ndjson").write_text("\n".join(json.dumps(m) for m in (INITIALIZE, CALL, TOOLS_RESULT)) + "\n")
    (fixtures / "servers.json").write_text(json.dumps({"servers": [
        {"name": "io.example/weather", "remotes": [{"type": "streamable-http", "url": "https://mcp.example.com/mcp"}]}]}))
    app = Starlette(routes=[
        Route("/", home), Route("/logo.png", logo), Route("/blog/mcp", blog), Route("/mcp", mcp_page),
        Route("/quotes", ticker), Route("/sse", endpoint_event), Route("/status", endpoint_event),
        Route("/messages", chat_post, methods=["POST"]), Route("/api/payments", payments, methods=["POST"]),
        Route("/_bulk", ingest, methods=["POST"]), Route("/loki/api/v1/push", ingest, methods=["POST"]),
        Route("/v1/chat/completions", chat_completions, methods=["POST"]), WebSocketRoute("/acp", acp),
        Route("/acp", acp_http, methods=["POST"]), Route("/rpc", rpc, methods=["POST"])])
    app.mount("/fixtures", StaticFiles(directory=fixtures))
    uvicorn.run(app, host="0.0.0.0", port=args.port, log_level="warning", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
