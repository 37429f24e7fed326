"""A relay of TCP connections that says something first.

    relay.py LISTEN TO --proxy-protocol 1|2     the source address, to what listens at TO
    relay.py LISTEN TO --socks5 HOST:PORT       asks the SOCKS server at TO for HOST:PORT
    relay.py LISTEN --socks-server              is a SOCKS5 server without authentication

LISTEN and TO are ADDRESS:PORT.
"""

import argparse
import asyncio
import ipaddress
import socket
import struct


def split(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def proxy_header(version, source, target):
    """https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2"""
    if version == 1:
        return ("PROXY TCP4 %s %s %d %d\r\n" % (source[0], target[0], source[1], target[1])).encode()
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0]) + struct.pack(">HH", source[1], target[1])
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(addresses)) + addresses


async def ask_socks(reader, writer, target):
    """RFC 1928, sections 3 and 4"""
    writer.write(b"\x05\x01\x00")
    assert await reader.readexactly(2) == b"\x05\x00"
    host, port = target
    writer.write(b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + struct.pack(">H", port))
    reply = await reader.readexactly(4)
    assert reply[:2] == b"\x05\x00", reply
    await reader.readexactly(6)


async def answer_socks(reader, writer):
    _, count = await reader.readexactly(2)
    await reader.readexactly(count)
    writer.write(b"\x05\x00")
    _, _, _, kind = await reader.readexactly(4)
    if kind == 1:
        host = str(ipaddress.ip_address(await reader.readexactly(4)))
    else:
        (length,) = await reader.readexactly(1)
        host = (await reader.readexactly(length)).decode()
    (port,) = struct.unpack(">H", await reader.readexactly(2))
    upstream = await asyncio.open_connection(host, port)
    writer.write(b"\x05\x00\x00\x01" + bytes(6))
    return upstream


async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("listen", type=split)
    p.add_argument("to", type=split, nargs="?")
    p.add_argument("--proxy-protocol", type=int, choices=[1, 2])
    p.add_argument("--socks5", type=split)
    p.add_argument("--socks-server", action="store_true")
    args = p.parse_args()

    async def serve(reader, writer):
        if args.socks_server:
            there, back = await answer_socks(reader, writer)
        else:
            there, back = await asyncio.open_connection(*args.to)
        if args.proxy_protocol:
            back.write(proxy_header(args.proxy_protocol, back.get_extra_info("sockname"), args.to))
        if args.socks5:
            await ask_socks(there, back, args.socks5)
        try:
            await asyncio.gather(pump(reader, back), pump(there, writer))
        except ConnectionError:
            pass
        finally:
            writer.close()
            back.close()

    server = await asyncio.start_server(serve, *args.listen)
    async with server:
        await server.serve_forever()


asyncio.run(main())
