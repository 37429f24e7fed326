"""Bodies of the look-alikes' clients."""

import json

INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
    "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "cursor-vscode", "version": "1.0.0"}}}
CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "query", "arguments": {"sql": "select 1"}}}
NOTE = {"jsonrpc": "2.0", "method": "notifications/initialized"}

ACP = [
    {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": 1, "clientCapabilities": {"fs": {"readTextFile": True, "writeTextFile": True}},
        "clientInfo": {"name": "zed", "version": "0.210.0"}}},
    {"jsonrpc": "2.0", "id": 1, "method": "session/new", "params": {"cwd": "/srv/books", "mcpServers": [
        {"name": "shop", "command": "mcp-shop", "args": []}]}},
    {"jsonrpc": "2.0", "id": 2, "method": "session/prompt", "params": {
        "sessionId": "sess_1", "prompt": [{"type": "text", "text": "call tools/list"}]}},
]

RPC = [
    {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []},
    {"jsonrpc": "2.0", "id": 2, "method": "JSONRPC.Ping"},
    {"jsonrpc": "2.0", "id": 3, "method": "Player.GetActivePlayers", "params": {}},
    [{"jsonrpc": "2.0", "id": 4, "method": "net_version", "params": []},
     {"jsonrpc": "2.0", "id": 5, "method": "web3_clientVersion", "params": []}],
    {"jsonrpc": "1.0", "id": "curltest", "method": "getblockchaininfo", "params": []},
    {"jsonrpc": "2.0", "id": 6, "method": "aria2.addUri", "params": ["token:x", ["http://10.20.0.80/a.iso"]]},
]


def log_lines():
    return ["proxy: client sent %s" % json.dumps(m) for m in (INITIALIZE, NOTE, CALL)] + [json.dumps(CALL)]
