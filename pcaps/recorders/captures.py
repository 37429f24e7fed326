"""The captures: one function each, in the order they are recorded."""

import json
import pathlib
import subprocess
import sys

import names

HERE = pathlib.Path(__file__).resolve().parent
CAPTURES = {}


def capture(name):
    def keep(function):
        CAPTURES[name] = function
        return function
    return keep


URL = "http://10.20.0.10:8000/mcp"


# ---- Python SDK 1.x, Streamable HTTP


@capture("p-py130-json")
def py130_json(s):
    """Python SDK 1.30, JSON answers, one session"""
    s.py1("--json")
    with s.record():
        s.cli1(URL)
    s.mcp("streamable-http (JSON responses)")


@capture("p-py130-sse-full")
def py130_sse_full(s):
    """Python SDK 1.30, SSE answers, every feature"""
    s.py1()
    with s.record():
        s.cli1(URL, "--scene", "full")
    s.mcp("streamable-http (SSE responses)",
          notes="sampling, elicitation, roots, logging, progress, completion, list changes, subscriptions, a failing "
                "tool, an unknown tool, a missing resource, a 60 kB answer")


@capture("p-py23-2026-07-28")
def py23(s):
    """Python SDK 2.3 both ends, 2026-07-28, everything"""
    s.py2()
    with s.record():
        s.cli2(URL, "--scene", "full")
    s.mcp("streamable-http (SSE and JSON responses)",
          notes="no initialize, no session id; server/discover, subscriptions/listen, input_required results with "
                "elicitation, sampling and roots inside")


@capture("p-ts1-sse-full")
def ts1_full(s):
    """TypeScript SDK 1.29, SSE answers, sampling, elicitation, progress"""
    s.node("ts1", "server.mjs")
    with s.record():
        s.clin("ts1", "client.mjs", URL, "--scene", "full")
    s.mcp("streamable-http (SSE responses)")


@capture("p-ts1-json")
def ts1_json(s):
    """TypeScript SDK 1.29, JSON answers"""
    s.node("ts1", "server.mjs", "--json")
    with s.record():
        s.clin("ts1", "client.mjs", URL)
    s.mcp("streamable-http (JSON responses)")


@capture("p-ts2-2026-07-28")
def ts2(s):
    """TypeScript SDK 2.4 both ends, 2026-07-28"""
    s.node("ts2", "server.mjs")
    with s.record():
        s.clin("ts2", "client.mjs", URL, "--scene", "full")
    s.mcp("streamable-http (JSON and SSE responses)", notes="server/discover with the id server-discover-probe-1")


@capture("p-legacysse-py130")
def legacy_py(s):
    """Python SDK 1.30, legacy HTTP+SSE, every feature"""
    s.py1("--transport", "sse", "--path", "/sse")
    with s.record():
        s.cli1("http://10.20.0.10:8000/sse", "--transport", "sse", "--scene", "full", "--big", "20000")
    s.mcp("legacy HTTP+SSE", path="/sse")


@capture("p-legacysse-ts1")
def legacy_ts(s):
    """TypeScript SDK 1.29, legacy HTTP+SSE"""
    s.node("ts1", "server.mjs", "--sse")
    with s.record():
        s.clin("ts1", "client.mjs", "http://10.20.0.10:8000/sse", "--sse", "--scene", "full")
    s.mcp("legacy HTTP+SSE", path="/sse")


@capture("p-py130-stateless")
def py130_stateless(s):
    """Python SDK 1.30, stateless, JSON answers: no Mcp-Session-Id"""
    s.py1("--json", "--stateless")
    with s.record():
        s.cli1(URL)
    s.mcp("streamable-http stateless (JSON responses)", notes="no Mcp-Session-Id")


@capture("p-py130-20sessions")
def py130_many(s):
    """Python SDK 1.30, twenty sessions at once, SSE answers"""
    s.py1()
    with s.record():
        s.cli1(URL, "--scene", "short", "--sessions", "20", "--calls", "3")
    s.mcp("streamable-http (SSE responses)", sessions=20)


@capture("p-py130-progress")
def py130_progress(s):
    """Python SDK 1.30: progress, log messages, sampling and elicitation on the answer streams"""
    s.py1("--events")
    with s.record():
        s.cli1(URL, "--scene", "progress")
    s.mcp("streamable-http (SSE responses)", notes="with an event store: event ids, priming events")


@capture("p-py130-bearer")
def py130_bearer(s):
    """Python SDK 1.30 behind a bearer token: 401 first, then a session"""
    s.py1("--token", "s3cr3t-token")
    with s.record():
        s.cli1(URL, "--name", "forgetful-desk", check=False)
        s.cli1(URL, "--token", "s3cr3t-token")
    s.mcp("streamable-http (SSE responses)", notes="the first initialize, of another client, is answered 401")


@capture("p-py130-ipv6")
def py130_ipv6(s):
    """Python SDK 1.30 over IPv6"""
    s.py1("--host", "::")
    with s.record():
        s.cli1("http://[fd20::10]:8000/mcp")
    s.mcp("streamable-http (SSE responses)", server="[fd20::10]:8000")


@capture("p-py110-2025-06-18")
def py110(s):
    """Python SDK 1.10 both ends: 2025-06-18"""
    s.py1(sdk="py110")
    with s.record():
        s.cli1(URL, "--scene", "full", "--big", "4000", sdk="py110")
    s.mcp("streamable-http (SSE responses)", notes="mcp 1.10.1")


@capture("p-py194-2025-03-26")
def py194(s):
    """Python SDK 1.9 both ends: 2025-03-26"""
    s.py1(sdk="py194")
    with s.record():
        s.cli1(URL, "--scene", "full", "--big", "4000", sdk="py194")
    s.mcp("streamable-http (SSE responses)", notes="mcp 1.9.4")


@capture("p-py181-2024-11-05")
def py181(s):
    """Python SDK 1.8 both ends: Streamable HTTP that says 2024-11-05"""
    s.py1(sdk="py181")
    with s.record():
        s.cli1(URL, "--scene", "full", "--big", "4000", sdk="py181")
    s.mcp("streamable-http (SSE responses)", notes="mcp 1.8.1")


@capture("p-legacysse-py181-2024-11-05")
def legacy_py181(s):
    """Python SDK 1.8, legacy HTTP+SSE, 2024-11-05"""
    s.py1("--transport", "sse", "--path", "/sse", sdk="py181")
    with s.record():
        s.cli1("http://10.20.0.10:8000/sse", "--transport", "sse", sdk="py181")
    s.mcp("legacy HTTP+SSE", path="/sse", notes="mcp 1.8.1")


@capture("p-legacysse-py130-6sessions")
def legacy_many(s):
    """Python SDK 1.30, six legacy HTTP+SSE sessions at once"""
    s.py1("--transport", "sse", "--path", "/sse")
    with s.record():
        s.cli1("http://10.20.0.10:8000/sse", "--transport", "sse", "--scene", "short", "--sessions", "6")
    s.mcp("legacy HTTP+SSE", path="/sse", sessions=6)


@capture("p-py23-json-8clients")
def py23_many(s):
    """Python SDK 2.3: eight 2026-07-28 clients at once, JSON answers"""
    s.py2("--json")
    with s.record():
        s.cli2(URL, "--scene", "short", "--sessions", "8", "--mode", "2026-07-28")
    s.mcp("streamable-http (JSON responses)", sessions=8,
          notes="no server/discover: the clients are pinned to the version; one client address, 8 connections")


@capture("p-py23-cli-py130-srv-fallback")
def py23_fallback(s):
    """Python SDK 2.3 client, automatic, against a 1.30 server: server/discover, then initialize"""
    s.py1()
    with s.record():
        s.cli2(URL)
    s.mcp("streamable-http (SSE responses)", notes="server/discover is answered 400; initialize follows")


@capture("p-ts2-cli-ts1-srv-fallback")
def ts2_fallback(s):
    """TypeScript SDK 2.4 client, automatic, against a 1.29 server: server/discover, then initialize"""
    s.node("ts1", "server.mjs")
    with s.record():
        s.clin("ts2", "client.mjs", URL)
    s.mcp("streamable-http (SSE responses)", notes="server/discover is refused; initialize follows")


@capture("p-ts1-cli-py23-srv")
def ts1_py23(s):
    """TypeScript SDK 1.29 client against a Python 2.3 server: initialize on a 2026-07-28 server"""
    s.py2()
    with s.record():
        s.run("node", s.install.node("ts1") / "shop.mjs", URL)
    s.mcp("streamable-http (SSE responses)")


@capture("p-ts1-stateless")
def ts1_stateless(s):
    """TypeScript SDK 1.29, stateless server"""
    s.node("ts1", "server.mjs", "--stateless")
    with s.record():
        s.clin("ts1", "client.mjs", URL)
    s.mcp("streamable-http stateless (SSE responses)", notes="no Mcp-Session-Id")


@capture("p-ts1-resume")
def ts1_resume(s):
    """TypeScript SDK 1.29: the answer stream is closed, resumed with Last-Event-ID"""
    s.node("ts1", "server.mjs", "--events")
    with s.record():
        s.clin("ts1", "client.mjs", URL, "--scene", "resume")
    s.mcp("streamable-http (SSE responses)",
          notes="priming events, retry:, the answer of tools/call comes on a GET with Last-Event-ID")


@capture("p-ts1-legacy-fallback")
def ts1_legacy_fallback(s):
    """TypeScript SDK 1.29 client: Streamable HTTP is refused (404), then legacy HTTP+SSE"""
    s.node("ts1", "server.mjs", "--sse")
    with s.record():
        s.clin("ts1", "client.mjs", "http://10.20.0.10:8000/sse", "--scene", "fallback")
    s.mcp("legacy HTTP+SSE", path="/sse", notes="initialize twice: refused over POST /sse, then over /messages")


@capture("p-ts1-batch-2025-03-26")
def ts1_batch(s):
    """TypeScript SDK 1.29 server, raw client: JSON-RPC batches"""
    s.node("ts1", "server.mjs")
    with s.record():
        raw(s, "batch", ts=True)
    s.mcp("streamable-http (SSE responses)")


@capture("p-everything")
def everything(s):
    """@modelcontextprotocol/server-everything with a TypeScript 1.29 client"""
    home = s.install.node("everything")
    s.node("everything", home / "node_modules/@modelcontextprotocol/server-everything/dist/index.js",
           "streamableHttp", env={"PORT": "3001"}, port=3001, args_port=False)
    with s.record():
        s.run("node", s.install.node("ts1") / "everything_client.mjs", "http://10.20.0.10:3001/mcp")
    s.mcp("streamable-http (SSE responses)", server="10.20.0.10:3001")


@capture("p-everything-legacysse")
def everything_sse(s):
    """@modelcontextprotocol/server-everything, legacy HTTP+SSE"""
    home = s.install.node("everything")
    s.node("everything", home / "node_modules/@modelcontextprotocol/server-everything/dist/index.js",
           "sse", env={"PORT": "3001"}, port=3001, args_port=False)
    with s.record():
        s.run("node", s.install.node("ts1") / "everything_client.mjs", "http://10.20.0.10:3001/sse", "--sse")
    s.mcp("legacy HTTP+SSE", server="10.20.0.10:3001", path="/sse")


@capture("p-fastmcp")
def fastmcp(s):
    """fastmcp 3.4 server and client"""
    s.python("py/fast_server.py", env="fastmcp", log="server")
    with s.record():
        s.py("py/fast_client.py", URL, env="fastmcp")
    s.mcp("streamable-http (SSE responses)")


def rmcp(name, mode, server, doc):
    def function(s):
        bin_dir = s.install.rust()
        s.serve(bin_dir / "server", "8000", s.log(), *server, port=8000)
        with s.record():
            s.run(bin_dir / "client", URL, mode)
        s.mcp("streamable-http (%s)" % ("JSON responses" if "json" in server else "SSE responses"))
    function.__doc__ = doc
    CAPTURES[name] = function


rmcp("p-rmcp-sse", "initialize", [], "rmcp 3.9 both ends, sessions, SSE answers")
rmcp("p-rmcp-2026-07-28", "discover", ["json"], "rmcp 3.9 both ends, 2026-07-28")


@capture("p-rmcp-cli-py130-srv-fallback")
def rmcp_py(s):
    """rmcp 3.9 client, automatic, against a Python 1.30 server"""
    bin_dir = s.install.rust()
    s.py1()
    with s.record():
        s.run(bin_dir / "client", URL, "auto")
    s.mcp("streamable-http (SSE responses)")


@capture("p-mcp-remote")
def mcp_remote(s):
    """mcp-remote 0.15 (the stdio bridge of desktop clients) against a Python 1.30 server"""
    home = s.install.node("everything")
    s.py1()
    with s.record():
        s.py("py/stdio_bridge.py", "node", home / "node_modules/mcp-remote/dist/proxy.js", URL, "--allow-http",
             env="py130", check=False, timeout=60)
    s.mcp("streamable-http (SSE responses)", sessions=2,
          notes="probes of OAuth metadata before; a first session of mcp-remote-fallback-test; Mcp-Method on legacy bodies")


@capture("p-raw-ndjson-tcp")
def raw_tcp(s):
    """Newline-delimited JSON-RPC over a bare TCP port, Python SDK 1.30 server"""
    s.python("py/raw_server.py", port=7000, env="py130", log="server")
    with s.record():
        s.run("python3", HERE / "py" / "raw_tcp_client.py", "10.20.0.10", "7000")
    s.mcp("newline-delimited JSON over TCP", http="-", server="10.20.0.10:7000", path="-")


# ---- in between


@capture("p-nginx-gzip")
def nginx_gzip(s):
    """nginx in front, gzip of JSON and of event streams"""
    s.py1()
    nginx(s, """
        listen 8080;
        location / {
            proxy_pass http://127.0.0.1:8000; proxy_http_version 1.1; proxy_set_header Host $http_host;
            proxy_set_header Connection ""; proxy_buffering off; proxy_read_timeout 60s;
            gzip on; gzip_types application/json text/event-stream; gzip_min_length 1; gzip_proxied any;
        }""", port=8080)
    with s.record("port 8080"):
        s.cli1("http://10.20.0.10:8080/mcp", "--scene", "full", "--big", "30000")
    s.mcp("streamable-http (SSE responses, gzip by nginx)", server="10.20.0.10:8080")


def nginx(s, server, port, extra=""):
    conf = s.tmp / "nginx.conf"
    conf.write_text("""
pid %(tmp)s/nginx.pid; error_log %(tmp)s/nginx.err; daemon off; worker_processes 1; user root;
events {}
http {
    access_log off; client_body_temp_path %(tmp)s/b; proxy_temp_path %(tmp)s/p; fastcgi_temp_path %(tmp)s/f;
    uwsgi_temp_path %(tmp)s/u; scgi_temp_path %(tmp)s/s; %(extra)s
    server { %(server)s }
}
""" % {"tmp": s.tmp, "server": server, "extra": extra})
    s.serve("nginx", "-c", conf, "-p", s.tmp, port=port)


def tinyproxy(s):
    conf = s.tmp / "tinyproxy.conf"
    conf.write_text('Port 8888\nListen 10.20.0.16\nTimeout 30\nAllow 0.0.0.0/0\nLogLevel Error\n'
                    'LogFile "%s/tinyproxy.log"\nMaxClients 50\nViaProxyName "proxy.corp.test"\n' % s.tmp)
    s.serve("tinyproxy", "-d", "-c", conf, port=8888)


@capture("p-proxy-absolute-form")
def proxy_absolute(s):
    """Through tinyproxy, absolute-form request targets; only the client's side is recorded"""
    s.py1()
    tinyproxy(s)
    with s.record("port 8888"):
        s.cli1(URL, "--proxy", "http://10.20.0.16:8888")
    s.mcp("streamable-http via forward proxy", server="10.20.0.16:8888", host="10.20.0.10:8000",
          notes="absolute-form")


@capture("p-proxy-connect")
def proxy_connect(s):
    """Through tinyproxy with CONNECT, clear text inside"""
    s.py1("--json")
    tinyproxy(s)
    with s.record("port 8888"):
        raw(s, "plain", "--connect", "10.20.0.16:8888", version="2025-11-25")
    s.mcp("streamable-http via CONNECT", server="10.20.0.16:8888", host="10.20.0.10:8000",
          notes="CONNECT, then HTTP in the clear")


LOCAL = "http://127.0.0.1:9000/mcp"


@capture("p-socks5")
def socks(s):
    """Through a SOCKS5 server by name; only the client's side is recorded"""
    s.py1()
    s.serve("python3", HERE / "py" / "relay.py", "10.20.0.16:1080", "--socks-server", port=1080)
    s.background("python3", HERE / "py" / "relay.py", "127.0.0.1:9000", "10.20.0.16:1080",
                 "--socks5", "10.20.0.10:8000")
    with s.record("port 1080"):
        s.cli1(LOCAL)
    s.mcp("streamable-http via SOCKS5", server="10.20.0.16:1080", host="127.0.0.1:9000")


def proxy_protocol(version):
    def function(s):
        s.py1(port=8000)
        nginx(s, """
            listen 10.20.0.10:9000 proxy_protocol;
            location / {
                proxy_pass http://127.0.0.1:8000; proxy_http_version 1.1; proxy_set_header Host $http_host;
                proxy_set_header Connection ""; proxy_buffering off; proxy_read_timeout 60s;
            }""", port=9000)
        s.background("python3", HERE / "py" / "relay.py", "127.0.0.1:9000", "10.20.0.10:9000",
                     "--proxy-protocol", version)
        with s.record("port 9000"):
            s.cli1(LOCAL)
        s.mcp("streamable-http behind the PROXY protocol", server="10.20.0.10:9000", host="127.0.0.1:9000",
              notes="PROXY protocol v%d, nginx" % version)
    function.__doc__ = "Between a relay and nginx, after a header of the PROXY protocol, version %d" % version
    return function


for version in (1, 2):
    capture("p-proxy-protocol-v%d" % version)(proxy_protocol(version))


# ---- WebSocket


@capture("p-ws-py130")
def ws(s):
    """Python SDK 1.30 over WebSocket, no compression"""
    s.py1("--transport", "ws", "--path", "/ws")
    with s.record():
        s.cli1("ws://10.20.0.10:8000/ws", "--transport", "ws", "--scene", "full", "--big", "70000")
    s.mcp("WebSocket (subprotocol mcp)", path="/ws")


@capture("p-ws-py130-deflate")
def ws_deflate(s):
    """Python SDK 1.30 over WebSocket, permessage-deflate"""
    s.py1("--transport", "ws", "--path", "/ws", "--deflate")
    with s.record():
        s.cli1("ws://10.20.0.10:8000/ws", "--transport", "ws", "--scene", "full", "--big", "70000")
    s.mcp("WebSocket (subprotocol mcp, permessage-deflate)", path="/ws")


@capture("p-ws-h2c-py130-deflate")
def ws_h2c(s):
    """WebSocket over HTTP/2 in the clear, permessage-deflate, hypercorn and h2; Python SDK 1.30"""
    s.py1("--transport", "ws", "--path", "/ws", "--serve", "hypercorn")
    with s.record():
        s.cli1("ws://10.20.0.10:8000/ws", "--transport", "ws", "--http2", "--deflate", "--scene", "full")
    s.mcp("WebSocket (subprotocol mcp, permessage-deflate) over HTTP/2", path="/ws", http="2 (h2c prior knowledge)",
          notes="extended CONNECT (RFC 8441)")


# ---- TLS, HTTP/2, HTTP/3. Key logs beside.


BOOKS = "https://books.corp.test:8443/mcp"


def tls(name, doc, start, args=(), version="TLS 1.3", http="1.1", keys=True, url=BOOKS, client=None, label="mcp",
        transport="streamable-http (SSE responses) over TLS", expression="", notes=None, server="10.20.0.10:8443",
        sessions=1, path="/mcp"):
    def function(s):
        home = s.install.certificate()
        start(s, home)
        log = s.out / (name + ".keys.log")
        log.unlink(missing_ok=True)
        with s.record(expression):
            if client:
                client(s, home, log)
            else:
                s.cli1(url, "--ca", home / "ca.pem", *(["--keylog", log] if keys else []), *args)
        s.label(label, transport, server=server, host=url.split("/")[2].split(":")[0], path=path, http=http,
                sessions=sessions, keylog=log.name if keys else "none", notes=notes or version)
    function.__doc__ = doc
    CAPTURES[name] = function


def py1_tls(*args, port=8443):
    return lambda s, home: s.py1("--cert", home / "cert.pem", "--key", home / "key.pem", *args, port=port)


def nginx_tls(listen, more):
    def start(s, home):
        s.py1(port=8000)
        nginx(s, """
            listen 8443 %s; ssl_certificate %s/cert.pem; ssl_certificate_key %s/key.pem; %s
            location / {
                proxy_pass http://127.0.0.1:8000; proxy_http_version 1.1; proxy_set_header Host $http_host;
                proxy_set_header Connection ""; proxy_buffering off; proxy_read_timeout 60s;
            }""" % (listen, home, home, more), port=8443)
    return start


def node_tls(s, home, log):
    s.run("node", "--tls-keylog=%s" % log, s.install.node("ts1") / "shop.mjs", BOOKS,
          env={"NODE_EXTRA_CA_CERTS": str(home / "ca.pem")})


def wss(s, home, log):
    s.cli1("wss://books.corp.test:8443/ws", "--transport", "ws",
           env={"SSL_CERT_FILE": str(home / "ca.pem"), "SSLKEYLOGFILE": str(log)})


tls("p-tls13-h1-uvicorn", "TLS 1.3, HTTP/1.1, uvicorn; Python 1.30 both ends", py1_tls())
tls("p-tls13-h1-node-cli", "TLS 1.3, HTTP/1.1, uvicorn; TypeScript 1.29 client on Node", py1_tls(), client=node_tls)
tls("p-tls12-h1-nginx", "TLS 1.2, HTTP/1.1, nginx in front",
    nginx_tls("ssl", "ssl_protocols TLSv1.2;"), version="TLS 1.2")
tls("p-tls12-h1-nginx-chacha20", "TLS 1.2, ChaCha20-Poly1305, nginx in front",
    nginx_tls("ssl", "ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305;"),
    version="TLS 1.2, ChaCha20-Poly1305")
tls("p-tls13-h1-nginx-chacha20", "TLS 1.3, ChaCha20-Poly1305, nginx in front",
    nginx_tls("ssl", "ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256;"),
    version="TLS 1.3, ChaCha20-Poly1305")
tls("p-tls13-h1-nginx-aes128-hrr", "TLS 1.3, AES-128-GCM, HelloRetryRequest (the server takes P-384 only)",
    nginx_tls("ssl", "ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; "
                     "ssl_ecdh_curve secp384r1;"),
    version="TLS 1.3, AES-128-GCM, HelloRetryRequest")
tls("p-tls13-h2-nginx", "TLS 1.3, HTTP/2, nginx in front", nginx_tls("ssl http2", "ssl_protocols TLSv1.3;"),
    ["--http2", "--scene", "full", "--big", "30000"], http="2")
tls("p-tls13-h2-hypercorn", "TLS 1.3, HTTP/2, hypercorn", py1_tls("--serve", "hypercorn"),
    ["--http2", "--scene", "full", "--big", "30000"], http="2")
tls("p-tls13-nokey-sni-mcp.stripe.com", "TLS 1.3 without keys; SNI of a known public MCP host (a local server)",
    py1_tls(port=443), keys=False, url="https://mcp.stripe.com/mcp", server="10.20.0.10:443",
    label="mcp_encrypted_sni_only", notes="no keys; the server is a local one, the name comes from a hosts file")
tls("p-tls13-nokey-sni-books", "TLS 1.3 without keys; an SNI that says nothing", py1_tls(), keys=False,
    label="mcp_encrypted_sni_only", notes="no keys; a name that says nothing about MCP: nothing is to be found")
tls("p-tls13-connect-tinyproxy", "CONNECT through tinyproxy, then TLS 1.3",
    lambda s, home: (py1_tls()(s, home), tinyproxy(s)), ["--proxy", "http://10.20.0.16:8888"],
    server="10.20.0.16:8888", transport="streamable-http (SSE responses) over TLS, via CONNECT",
    expression="port 8888", notes="TLS 1.3 inside CONNECT")
tls("p-wss-py130-deflate", "WebSocket with permessage-deflate in TLS 1.3",
    py1_tls("--transport", "ws", "--path", "/ws", "--deflate"), client=wss,
    transport="WebSocket (subprotocol mcp, permessage-deflate) over TLS", path="/ws")


def ws_http2(name, doc, *args, sessions=1, coding=""):
    tls(name, doc, py1_tls("--serve", "hypercorn", "--transport", "ws", "--path", "/ws"),
        ["--transport", "ws", "--http2", *args], url="wss://books.corp.test:8443/ws", path="/ws", http="2",
        sessions=sessions, transport="WebSocket (subprotocol mcp%s) over HTTP/2 over TLS" % coding,
        notes="TLS 1.3, extended CONNECT (RFC 8441)")


ws_http2("p-wss-h2-py130-deflate", "WebSocket over HTTP/2 with permessage-deflate, hypercorn and h2", "--scene", "full",
         "--deflate", coding=", permessage-deflate")
ws_http2("p-wss-h2-py130-4sessions", "four WebSockets at once on one connection of HTTP/2, hypercorn and h2", "--scene",
         "short", "--sessions", "4", sessions=4)


def h3_hypercorn(s, home):
    s.serve(s.install.python("py130"), HERE / "py" / "server1.py", "--port", "8443", "--log", s.log(),
            "--cert", home / "cert.pem", "--key", home / "key.pem", "--serve", "hypercorn", "--quic",
            port=8443, udp=True)


tls("p-quic-h3-hypercorn", "HTTP/3 over QUIC, hypercorn and aioquic", h3_hypercorn, ["--quic"], http="3", transport="streamable-http (SSE responses) over QUIC", version="QUIC v1", expression="udp")


tls("p-quic-v2-hypercorn", "HTTP/3 over QUIC v2, hypercorn and aioquic", h3_hypercorn, ["--quic", "--quic-version", "2"],
    http="3", transport="streamable-http (SSE responses) over QUIC", version="QUIC v2", expression="udp")
tls("p-quic-moved", "HTTP/3 over QUIC; the client goes on at another port in mid-session", h3_hypercorn,
    ["--quic", "--move-after", "5"],
    http="3", transport="streamable-http (SSE responses) over QUIC", version="QUIC v1, moved", expression="udp")


def h3_retry(s, home):
    s.serve(s.install.python("py130"), HERE / "py" / "server1.py", "--port", "8443", "--log", s.log(),
            "--cert", home / "cert.pem", "--key", home / "key.pem", "--quic-retry", port=8443, udp=True)


tls("p-quic-retry", "HTTP/3 over QUIC; the server validates the client's address with a Retry packet, aioquic both ends",
    h3_retry, ["--quic"], http="3", transport="streamable-http (SSE responses) over QUIC", version="QUIC v1, Retry",
    expression="udp")
tls("p-quic-v2-retry", "HTTP/3 over QUIC v2 with a Retry packet, aioquic both ends", h3_retry,
    ["--quic", "--quic-version", "2"],
    http="3", transport="streamable-http (SSE responses) over QUIC", version="QUIC v2, Retry", expression="udp")


def caddyfile(s, text, port):
    """Starts Caddy; `text` goes on within the global options."""
    conf = s.tmp / "Caddyfile"
    conf.write_text("{\n    auto_https off\n    admin off\n" + text)
    s.serve("caddy", "run", "--config", conf, "--adapter", "caddyfile", port=port,
            env={"HOME": str(s.tmp), "XDG_DATA_HOME": str(s.tmp), "XDG_CONFIG_HOME": str(s.tmp)})


def caddy(s, home):
    s.py1(port=8000)
    caddyfile(s, """
}
https://books.corp.test:8443 {
    tls %s/cert.pem %s/key.pem
    reverse_proxy 127.0.0.1:8000 {
        flush_interval -1
    }
}
""" % (home, home), port=8443)


tls("p-tls13-h2-caddy", "TLS 1.3, HTTP/2, Caddy in front", caddy, ["--http2"], http="2", notes="TLS 1.3, Caddy 2.6")
tls("p-quic-h3-caddy", "HTTP/3 over QUIC, Caddy and aioquic", caddy, ["--quic"], http="3",
    transport="streamable-http (SSE responses) over QUIC", notes="QUIC v1, Caddy 2.6", expression="udp")


@capture("p-tls13-h2-dsb")
def dsb(s):
    """pcapng with the keys embedded (Decryption Secrets Block), TLS 1.3, HTTP/2"""
    home = s.install.certificate()
    py1_tls("--serve", "hypercorn")(s, home)
    clear, log = s.tmp / "clear.pcap", s.tmp / "keys.log"
    with s.lab.tcpdump(clear):
        s.cli1(BOOKS, "--ca", home / "ca.pem", "--keylog", log, "--http2")
    s.filename = s.name + ".pcapng"
    subprocess.run(["editcap", "--inject-secrets", "tls,%s" % log, clear, s.out / s.filename], check=True)
    s.mcp("streamable-http (SSE responses) over TLS", server="10.20.0.10:8443", host="books.corp.test", http="2",
          keylog="embedded (DSB)", notes="TLS 1.3, HTTP/2, pcapng with Decryption Secrets Block")


@capture("p-h2c-hypercorn-12sessions")
def h2c(s):
    """h2c with prior knowledge: twelve sessions at once over one connection"""
    s.py1("--serve", "hypercorn")
    with s.record():
        s.cli1(URL, "--http2", "--prior-knowledge", "--share", "--scene", "short", "--sessions", "12")
    s.mcp("streamable-http (SSE responses)", http="2 (h2c prior knowledge)", sessions=12)


@capture("p-h2c-hypercorn-20sessions")
def h2c_20(s):
    """h2c with prior knowledge: twenty sessions at once over one connection"""
    s.py1("--serve", "hypercorn")
    with s.record():
        s.cli1(URL, "--http2", "--prior-knowledge", "--share", "--scene", "short", "--sessions", "20")
    s.mcp("streamable-http (SSE responses)", http="2 (h2c prior knowledge)", sessions=20)


@capture("p-h2c-hypercorn-full")
def h2c_full(s):
    """h2c with prior knowledge, every feature"""
    s.py1("--serve", "hypercorn")
    with s.record():
        s.cli1(URL, "--http2", "--prior-knowledge", "--scene", "full", "--big", "30000")
    s.mcp("streamable-http (SSE responses)", http="2 (h2c prior knowledge)")


def caddy_h2c(s, *args):
    """Caddy upgrades requests with bodies too, hypercorn does not."""
    s.py1(*args, port=8000)
    caddyfile(s, """
    servers {
        protocols h1 h2c
    }
}
http://:8080 {
    reverse_proxy 127.0.0.1:8000 {
        flush_interval -1
    }
}
""", port=8080)


@capture("p-h2c-upgrade-py130")
def h2c_upgrade(s):
    """Upgrade: h2c with the first POST, then HTTP/2; h2 and Caddy, Python SDK 1.30 both ends"""
    caddy_h2c(s)
    with s.record("port 8080"):
        s.cli1("http://10.20.0.10:8080/mcp", "--upgrade-h2c", "--scene", "full", "--big", "30000")
    s.mcp("streamable-http (SSE responses)", server="10.20.0.10:8080", http="2 (Upgrade: h2c)",
          notes="initialize is an HTTP/1.1 request, its answer is on stream 1; Caddy 2.6")


def curl_h2c(s, port):
    """An MCP client made of curl: one process, one connection."""
    calls = [("tools/list", {}), ("tools/call", {"name": "add", "arguments": {"a": 2, "b": 40}}),
             ("resources/read", {"uri": "shop://stock"})]
    bodies = [{"id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "curl", "version": "7.88.1"}}}, {"method": "notifications/initialized"}]
    bodies += [{"id": i + 1, "method": m, "params": p} for i, (m, p) in enumerate(calls)]
    args = []
    for body in bodies:
        args += ["--next"] if args else []
        args += ["-sS", "--fail-with-body", "--max-time", "10", "--http2", "-H", "Content-Type: application/json", "-H",
                 "Accept: application/json, text/event-stream", "-d", json.dumps({"jsonrpc": "2.0"} | body),
                 "http://10.20.0.10:%d/mcp" % port]
    s.run("curl", *args)


@capture("p-h2c-upgrade-curl")
def h2c_upgrade_curl(s):
    """Upgrade: h2c with a POST of curl, answered by Caddy; Python SDK 1.30 server, stateless, JSON answers"""
    caddy_h2c(s, "--json", "--stateless")
    with s.record("port 8080"):
        curl_h2c(s, 8080)
    s.mcp("streamable-http stateless (JSON responses)", server="10.20.0.10:8080", http="2 (Upgrade: h2c)",
          notes="initialize is an HTTP/1.1 request, its answer is on stream 1; curl 7.88, Caddy 2.6; no Mcp-Session-Id")


@capture("p-h2c-upgrade-ignored-curl")
def h2c_upgrade_ignored(s):
    """Upgrade: h2c with the POSTs of curl, which hypercorn ignores: HTTP/1.1 all along"""
    s.py1("--json", "--stateless", "--serve", "hypercorn")
    with s.record():
        curl_h2c(s, 8000)
    s.mcp("streamable-http stateless (JSON responses)",
          notes="every request asks for h2c, none gets it; curl 7.88; no Mcp-Session-Id")


# ---- names from DNS


def name_server(s):
    s.serve("named", "-g", "-4", "-c", names.write(s.tmp), port=53, udp=True)


@capture("p-dns-tls13")
def dns(s):
    """BIND answers A, AAAA, aliases, HTTPS and SVCB; then TLS 1.3, once with SNI over IPv6, once to an address without"""
    home = s.install.certificate()
    tls_files = ["--cert", home / "cert.pem", "--key", home / "key.pem"]
    s.py1(*tls_files, "--host", "::", port=8443, log="books", server="[fd20::10]:8443/mcp")
    s.serve(s.install.python("py130"), HERE / "py" / "server1.py", "--port", "8444", "--name", "toolshop", "--log",
            s.log("tools", "10.20.0.12:8444/mcp"), *tls_files, port=8444)
    name_server(s)
    log = s.out / (s.name + ".keys.log")
    log.unlink(missing_ok=True)
    keys = ["--ca", home / "ca.pem", "--keylog", log]
    with s.lab.resolver(names.ADDRESS), s.record():
        s.run("dig", "books.corp.test", "HTTPS")
        s.run("dig", "_mcp.corp.test", "SVCB")
        s.run("dig", "no-such-name.corp.test")
        s.cli1(BOOKS, "--scene", "short", *keys)
        s.cli1("https://tools.corp.test:8444/mcp", "--by-address", "--name", "walker", "--scene", "short", *keys)
    s.mcp("streamable-http (SSE responses) over TLS", server="[fd20::10]:8443,10.20.0.12:8444", sessions=2,
          host="books.corp.test,-", keylog=log.name,
          notes="TLS 1.3; books.corp.test by SNI, behind two aliases; tools.corp.test by DNS alone, asked for over UDP, "
                "which truncates, and TCP; one certificate names both")


@capture("p-dns-nokey-nosni-mcp.stripe.com")
def dns_nosni(s):
    """A known public MCP host looked up at BIND, then TLS 1.3 without SNI and without keys (a local server)"""
    home = s.install.certificate()
    py1_tls(port=443)(s, home)
    name_server(s)
    with s.lab.resolver(names.ADDRESS), s.record():
        s.cli1("https://mcp.stripe.com/mcp", "--ca", home / "ca.pem", "--by-address", "--scene", "short")
    s.label("mcp_encrypted_sni_only", "streamable-http (SSE responses) over TLS", server="10.20.0.10:443",
            host="mcp.stripe.com", keylog="none",
            notes="no keys, no SNI; the server is a local one, its name comes from a local name server")


# ---- unusual but accepted


def raw(s, variant, *args, ts=False, version="2025-03-26"):
    more = ("--tool", "forecast", "--arguments", '{"city": "Oslo"}') if ts else ()
    s.run("python3", HERE / "py" / "raw_client.py", URL, variant, "--version", version, *more, *args)


def evade(variant, server, doc):
    def function(s):
        if server == "py":
            s.py1("--json")
        else:
            s.node("ts1", "server.mjs", *(["--express-json"] if server == "express" else []))
        with s.record():
            raw(s, variant, ts=server != "py")
        s.mcp("streamable-http (%s responses)" % ("JSON" if server == "py" else "SSE"), notes=doc)
    function.__doc__ = doc
    CAPTURES["h-evade-" + variant] = function


evade("unicode-escape", "py", "every letter of every key and value as \\uXXXX; Python 1.30")
evade("slash-escape", "express", "tools\\/list; TypeScript 1.29")
evade("pretty", "py", "white space, CRLF and tabs between tokens, body in several segments; Python 1.30")
evade("utf16", "express", "UTF-16 with BOM, charset declared; express.json")
evade("utf16be-undeclared", "py", "UTF-16BE without BOM or charset; Python 1.30")
evade("utf32le", "py", "UTF-32 with BOM; Python 1.30")
evade("bom", "py", "UTF-8 BOM; Python 1.30")
evade("gzip", "express", "gzip-coded request bodies; express.json")
evade("deflate", "express", "deflate-coded request bodies; express.json")
evade("chunked", "express", "one-byte chunks with extensions and a trailer; TypeScript 1.29")
evade("last-first", "py", "jsonrpc and method after 20 kB of params; Python 1.30")
evade("duplicate-keys", "py", "method and jsonrpc twice, the last wins; Python 1.30")
evade("json-rpc-type", "express", "Content-Type application/json-rpc; TypeScript 1.29")
evade("header-tricks", "py", "mixed-case header names, Accept in two lines, a query on the path; Python 1.30")


@capture("p-py130-errors")
def errors(s):
    """Python SDK 1.30, raw client: 400, 404, 405, 415, JSON-RPC errors, a cut body"""
    s.py1("--json")
    with s.record():
        raw(s, "errors", version="2025-11-25")
    s.mcp("streamable-http (JSON responses)", notes="one body is cut JSON")


# ---- look-alikes

SHOP = "http://10.20.0.80:8000"


def scripted(s, port=8000):
    s.python("look/scripted.py", "--fixtures", s.tmp, port=port)


def look_alike(name, what, doc, url=SHOP, **label):
    def function(s):
        port = int(url.rsplit(":", 1)[1]) if url.count(":") > 1 else 80
        scripted(s, port)
        with s.record():
            s.py("look/visit.py", what, url)
        s.look_alike(label.pop("transport", "HTTP"), server="10.20.0.80:%d" % port, notes=doc, **label)
    function.__doc__ = doc
    CAPTURES[name] = function


look_alike("n-blog-quotes-mcp", "blog", "an HTML page that quotes MCP in text, in <pre> and in a script", path="/blog/mcp")
look_alike("n-host-mcp.example.com-html", "html_host", "a host mcp.example.com that serves HTML, also at /mcp",
           url="http://mcp.example.com", host="mcp.example.com", path="/")
look_alike("n-generic-sse", "ticker", "an SSE stream of quotes with event: message and JSON data", path="/quotes")
look_alike("n-sse-endpoint-event", "endpoint",
           "SSE whose first event is `endpoint`, with a URI as in legacy MCP, and JSON that is not JSON-RPC after it",
           path="/sse")
look_alike("n-static-json-fixtures", "fixtures", "GET of static JSON files that hold MCP messages", path="/fixtures/*")
look_alike("n-rest-method-keys", "rest", "REST bodies with `method` keys of MCP's names, without jsonrpc",
           path="/api/payments")
look_alike("n-log-shipping", "logs", "logs shipped as ndjson and JSON with MCP messages inside strings and members",
           path="/_bulk")
look_alike("n-openai-chat-sse-tools", "openai", "openai client, SSE deltas; a tool call whose arguments are an MCP message",
           path="/v1/chat/completions")
look_alike("n-acp-http", "acp_http", "Agent Client Protocol bodies over HTTP: initialize with an integer protocolVersion",
           path="/acp", transport="JSON-RPC over HTTP")
look_alike("n-acp-websocket", "acp", "Agent Client Protocol over WebSocket", path="/acp", transport="WebSocket")
look_alike("n-jsonrpc-other", "rpc", "other JSON-RPC 2.0 over HTTP: Ethereum, Kodi, aria2, Bitcoin, a batch",
           path="/rpc", transport="JSON-RPC over HTTP")


@capture("n-lsp-tcp")
def lsp(s):
    """LSP over TCP: python-lsp-server, a client called Visual Studio Code"""
    s.serve(s.install.python("look").parent / "pylsp", "--tcp", "--host", "0.0.0.0", "--port", "2087", port=2087)
    with s.record():
        s.run("python3", HERE / "look" / "lsp.py", "10.20.0.80", "2087")
    s.look_alike("LSP over TCP", http="-", server="10.20.0.80:2087", path="-",
                 notes="python-lsp-server; initialize with clientInfo and capabilities")


@capture("n-eth-jsonrpc")
def eth(s):
    """Ethereum JSON-RPC over HTTP and WebSocket: ganache, with a batch"""
    s.node("look", "eth_server.mjs", port=8545, log=None)
    with s.record():
        s.clin("look", "eth_client.mjs", "http://10.20.0.80:8545")
    s.look_alike("JSON-RPC over HTTP and WebSocket", server="10.20.0.80:8545", path="/", notes="ganache 7.9")


@capture("n-a2a")
def a2a(s):
    """A2A 1.0 and 0.3, a2a-sdk: JSON-RPC with SSE, tasks/get, tasks/cancel"""
    s.python("look/a2a_server.py", port=9999)
    with s.record():
        s.py("look/a2a_client.py", "http://10.20.0.80:9999")
    s.look_alike("A2A (JSON-RPC over HTTP)", server="10.20.0.80:9999", path="/a2a",
                 notes="a2a-sdk 1.3; also 0.3 methods message/send, tasks/get, tasks/cancel")


@capture("n-graphql")
def graphql(s):
    """GraphQL over HTTP: graphql-http, fields and variables with MCP's names"""
    s.node("look", "graphql.mjs", port=4000, log=None)
    with s.record():
        s.clin("look", "graphql_client.mjs", "http://10.20.0.80:4000/graphql")
    s.look_alike("GraphQL", server="10.20.0.80:4000", path="/graphql",
                 notes="Accept: application/json, text/event-stream as MCP clients send it")


CDP_TARGET = """
globalThis.tools = { 'tools/list': ['add'], protocolVersion: '2025-11-25' };
setTimeout(() => process.exit(0), 60000);
"""


@capture("n-cdp-node-inspect")
def cdp(s):
    """Chrome DevTools Protocol over WebSocket: node --inspect"""
    s.serve("node", "--inspect=10.20.0.80:9229", "-e", CDP_TARGET, port=9229, cwd="/")
    with s.record():
        s.clin("look", "cdp_client.mjs", "http://10.20.0.80:9229")
    s.look_alike("WebSocket", server="10.20.0.80:9229", path="/json/list", notes="node --inspect")


# ---- the capture of the README's first command


@capture("quickstart")
def quickstart(s):
    """Two clients, three MCP servers (Streamable HTTP, legacy HTTP+SSE, 2026-07-28) and other web traffic"""
    s.py1(port=8000, log="books", server="books.corp.test:8000/mcp")
    s.node("ts1", "server.mjs", "--sse", port=3001, log="legacy", server="legacy.corp.test:3001/sse")
    s.py2(port=8080, log="tools", server="tools.corp.test:8080/mcp")
    scripted(s, 80)
    with s.record():
        s.py("look/visit.py", "html_host", "http://www.corp.test", ns="c1")
        first = s.background("node", s.install.node("ts1") / "client.mjs", "http://legacy.corp.test:3001/sse", "--sse",
                             "--name", "weather-widget", ns="c2")
        s.cli1("http://books.corp.test:8000/mcp", "--scene", "full", "--big", "12000", ns="c1")
        s.py("look/visit.py", "openai", "http://www.corp.test", ns="c1")
        second = s.background(s.install.python("py23"), HERE / "py" / "client2.py", "http://tools.corp.test:8080/mcp",
                              "--scene", "full", ns="c2")
        s.run("node", s.install.node("ts1") / "shop.mjs", "http://books.corp.test:8000/mcp", ns="c2")
        s.py("look/visit.py", "rest", "http://www.corp.test", ns="c2")
        first.wait(30)
        second.wait(30)
    s.mcp("streamable-http, legacy HTTP+SSE", sessions=4, server="10.20.0.10:8000,10.20.0.11:3001,10.20.0.12:8080",
          host="books.corp.test:8000,legacy.corp.test:3001,tools.corp.test:8080", path="/mcp,/sse",
          notes="clients 10.20.0.101 and 10.20.0.102; also HTML, REST and an LLM API on www.corp.test that are not MCP; "
                "by_server in the truth file has the counts of each server")


# ---- hardened: made from the captures above by harden.py


def harden(variant, base, notes, extension=".pcap", n=None, seed=1, suffix=""):
    def function(s):
        s.filename = s.name + extension
        subprocess.run([sys.executable, HERE.parent / "harden.py", s.out / base, variant, s.out / s.filename,
                        "--seed", str(seed), *(["--n", str(n)] if n is not None else [])], check=True)
        s.derive(base, notes)
    function.__doc__ = "derived from %s: %s" % (base, notes)
    CAPTURES["h-" + variant + suffix] = function


TS = "p-ts1-sse-full.pcap"
FEWER = "; the counts are those of the whole base capture, fewer may be seen, none invented"
harden("qinq", TS, "802.1ad and 802.1Q tags")
harden("mpls", "p-py23-2026-07-28.pcap", "two MPLS labels")
harden("gre", TS, "IP in GRE with a key")
harden("vxlan", "p-legacysse-ts1.pcap", "Ethernet in VXLAN")
harden("erspan2", TS, "ERSPAN type II")
harden("ip-fragments", TS, "IPv4 fragments of 64 bytes, some out of order", n=64)
harden("ip-fragments", "p-py130-ipv6.pcap", "IPv6 fragments of 256 bytes, some out of order", n=256, suffix="-ipv6")
harden("reorder", "p-py130-sse-full.pcap", "packets out of order within windows of four")
harden("overlap-same", TS, "segments begin early, with the same bytes again")
harden("overlap-differ", TS, "segments begin early, with other bytes than before; the first copy is the truth")
harden("duplicate", "p-ts1-json.pcap", "every packet twice")
harden("one-byte", "p-ts1-batch-2025-03-26.pcap", "TCP segments of one byte")
harden("resegment", "p-py23-2026-07-28.pcap", "TCP segments of at most 100 bytes", n=100)
harden("resegment", "p-tls13-h1-node-cli.pcap", "TLS in TCP segments of at most 40 bytes", n=40, suffix="-tls13")
harden("drop-one", "p-py130-sse-full.pcap", "one full data segment is missing" + FEWER)
harden("snaplen", TS, "frames cut to 96 bytes" + FEWER, n=96)
harden("midstream", "p-py130-sse-full.pcap", "begins after a third of the packets" + FEWER)
harden("one-direction", "p-py130-json.pcap", "only the client's packets" + FEWER, suffix="-client")
harden("one-direction", "p-py130-json.pcap", "only the server's packets" + FEWER, n=1, suffix="-server")
harden("nanosecond", "p-ts1-json.pcap", "nanosecond pcap")
harden("big-endian", "p-ts1-json.pcap", "big-endian pcap")
harden("pcapng", TS, "pcapng: two sections of either byte order, three interfaces, unknown blocks", ".pcapng")
harden("gzip", "p-legacysse-py130.pcap", "gzip", ".pcap.gz")
harden("zstd", "p-legacysse-py130.pcap", "zstd", ".pcap.zst")
harden("truncated", TS, "the file ends in the middle of its last record")
