"""Clients of the look-alikes: `visit.py WHAT URL`."""

import asyncio
import json
import sys

import httpx

import scripted_bodies as bodies

UA = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
      "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def pages(http, url, paths):
    for path in paths:
        http.get(url + path, headers=UA)


def blog(http, url):
    pages(http, url, ["/blog/mcp", "/logo.png"])


def html_host(http, url):
    pages(http, url, ["/", "/logo.png", "/mcp", "/favicon.ico", "/sse-archive"])


def ticker(http, url):
    with http.stream("GET", url + "/quotes", headers={"Accept": "text/event-stream"}) as r:
        r.read()


def endpoint(http, url):
    for path in ("/sse", "/status"):
        with http.stream("GET", url + path, headers={"Accept": "text/event-stream"}) as r:
            r.read()
    http.post(url + "/messages?sessionId=4f1f3c7e-7c1e-4a38-8d0e-6f0a6ad3b0aa", json={"chat": "room-1", "text": "hi"})


def fixtures(http, url):
    pages(http, url, ["/fixtures/" + n for n in
                      ("tools-list.json", "initialize.json", "discover.json", "trace.ndjson", "servers.json")])


def rest(http, url):
    for i, method in enumerate(("card", "tools/call", "initialize", "notifications/initialized", "ping")):
        http.post(url + "/api/payments", json={"id": i, "method": method, "params": {"name": "add", "amount": 12 + i}})


def logs(http, url):
    lines = bodies.log_lines()
    http.post(url + "/_bulk", content="".join(json.dumps({"index": {"_index": "proxy"}}) + "\n" + json.dumps(
        {"@timestamp": "2026-11-20T10:00:00Z", "message": m, "level": "debug"}) + "\n" for m in lines),
        headers={"Content-Type": "application/x-ndjson"})
    http.post(url + "/loki/api/v1/push", json={"streams": [
        {"stream": {"app": "mcp-gateway"}, "values": [["1795168800000000000", m] for m in lines]}]})
    http.post(url + "/_bulk", json={"event": "mcp.request", "body": bodies.INITIALIZE, "tags": ["tools/list"]})


def acp_http(http, url):
    for m in bodies.ACP:
        http.post(url + "/acp", json=m)


def rpc(http, url):
    for m in bodies.RPC:
        http.post(url + "/rpc", json=m)


def openai(http, url):
    from openai import OpenAI

    client = OpenAI(base_url=url + "/v1", api_key="sk-not-a-key")
    tools = [{"type": "function", "function": {"name": n, "description": "MCP " + n, "parameters": {
        "type": "object", "properties": {"name": {"type": "string"}}}}} for n in ("tools_call", "tools_list")]
    ask = [{"role": "user", "content": 'Say {"jsonrpc":"2.0","id":1,"method":"tools/list"} to the server'}]
    for _ in client.chat.completions.create(model="gpt-test", messages=ask, tools=tools, stream=True):
        pass
    client.chat.completions.create(model="gpt-test", messages=ask, tools=tools)


def acp(http, url):
    import websockets

    async def talk():
        async with websockets.connect(url.replace("http", "ws") + "/acp") as ws:
            for m in bodies.ACP:
                await ws.send(json.dumps(m))
                while "id" not in json.loads(await ws.recv()):
                    pass
    asyncio.run(talk())


def main():
    what, url = sys.argv[1:3]
    with httpx.Client(timeout=20) as http:
        globals()[what](http, url)


main()
