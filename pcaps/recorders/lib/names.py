"""A BIND name server for the recordings, with made-up zones."""

import base64

ADDRESS = "10.20.0.15"


def ech(public_name):
    """An ECHConfigList (draft-ietf-tls-esni) of one key that nobody has."""
    key = bytes(range(32))
    ciphers = bytes.fromhex("0004 0001 0001")
    name = public_name.encode()
    contents = (bytes([7]) + bytes.fromhex("0020") + len(key).to_bytes(2, "big") + key + ciphers + bytes([0]) +
                bytes([len(name)]) + name + bytes(2))
    config = bytes.fromhex("fe0d") + len(contents).to_bytes(2, "big") + contents
    return base64.b64encode(len(config).to_bytes(2, "big") + config).decode()


# `tools` is behind so many aliases that its addresses do not fit in 512 bytes: resolvers ask again over TCP.
CHAIN = ["tools", *("step%d.a-rather-long-name-of-a-load-balancer.in-a-rather-long-name-of-a-region%d" % (n, n)
                    for n in range(1, 8))]
ZONES = {
    "corp.test": """
books        CNAME  books.edge
books.edge   CNAME  node7.edge
node7.edge   A      10.20.0.10
             AAAA   fd20::10
             HTTPS  1 . alpn=h2,http/1.1 ipv4hint=10.20.0.10 ech=%s ipv6hint=fd20::10
_mcp         SVCB   1 tools alpn=h2 port=8443
""" % ech("public.corp.test") + "".join("%s CNAME %s\n" % pair for pair in zip(CHAIN, CHAIN[1:])) +
    "%s A 10.20.0.12\n" % CHAIN[-1],
    "stripe.com": """
mcp          A      10.20.0.10
             HTTPS  1 . alpn=h2
""",
}
HEAD = """$TTL 300
@  SOA ns hostmaster 1 3600 600 86400 60
   NS  ns
ns A   %s
"""
CONFIG = """
options {
    directory "%(home)s"; pid-file "%(home)s/named.pid"; session-keyfile none; listen-on { %(address)s; };
    listen-on-v6 { none; }; recursion no; dnssec-validation no; empty-zones-enable no; allow-transfer { none; };
};
controls { };
"""


def write(home):
    """Writes zones and configuration; gives the latter's path."""
    text = CONFIG % {"home": home, "address": ADDRESS}
    for zone, records in ZONES.items():
        (home / (zone + ".zone")).write_text(HEAD % ADDRESS + records)
        text += 'zone "%s" { type primary; file "%s.zone"; };\n' % (zone, zone)
    path = home / "named.conf"
    path.write_text(text)
    return path
