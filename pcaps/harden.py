#!/usr/bin/env python3
"""Makes harder variants of an Ethernet capture, always the same ones for the same input and seed.

    harden.py IN.pcap VARIANT OUT [--seed N] [--n N]
    harden.py --list

Python 3.11, standard library only (zstd needs the `zstd` program). The input
is a classic pcap of Ethernet frames with IPv4 or IPv6 and TCP or UDP; frames
of other kinds pass through where a variant has nothing to do with them.
"""

import argparse
import gzip
import pathlib
import random
import struct
import subprocess
import sys

ETH_IP4, ETH_IP6, ETH_VLAN, ETH_QINQ, ETH_MPLS = 0x0800, 0x86DD, 0x8100, 0x88A8, 0x8847


# ---- files


def read_pcap(path):
    """Frames as (nanoseconds, bytes, original length)."""
    data = pathlib.Path(path).read_bytes()
    magic = data[:4]
    order = "<" if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    unit = 1 if magic in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d") else 1000
    if struct.unpack(order + "I", data[20:24])[0] & 0xFFFF != 1:
        raise SystemExit("not Ethernet")
    frames, at = [], 24
    while at + 16 <= len(data):
        sec, frac, size, full = struct.unpack_from(order + "IIII", data, at)
        frames.append((sec * 1_000_000_000 + frac * unit, data[at + 16:at + 16 + size], full))
        at += 16 + size
    return frames


def pcap_bytes(frames, order="<", nano=False, snaplen=262144):
    unit = 1 if nano else 1000
    out = [struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snaplen, 1)]
    for t, frame, full in frames:
        out.append(struct.pack(order + "IIII", t // 1_000_000_000, t % 1_000_000_000 // unit, len(frame), full))
        out.append(frame)
    return b"".join(out)


def block(kind, body, order="<"):
    body += b"\0" * (-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def option(code, value, order="<"):
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def pcapng_bytes(frames):
    """Two sections, the second big-endian with two interfaces and nanoseconds; simple and unknown blocks between."""
    half = len(frames) // 2
    out = [block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + option(4, b"harden.py") + option(0, b"")),
           block(1, struct.pack("<HHI", 1, 0, 262144) + option(2, b"eth0") + option(9, b"\x06") + option(0, b"")),
           block(0x0BAD, b"an unknown block")]
    for t, frame, full in frames[:half]:
        micro = t // 1000
        out.append(block(6, struct.pack("<IIIII", 0, micro >> 32, micro & 0xFFFFFFFF, len(frame), full)
                         + frame + b"\0" * (-len(frame) % 4) + option(1, b"note") + option(0, b"")))
    big = [block(0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1), ">")]
    for name in (b"tap0", b"tap1"):
        big.append(block(1, struct.pack(">HHI", 1, 0, 0) + option(2, name, ">") + option(9, b"\x09", ">")
                         + option(0, b"", ">"), ">"))
    for i, (t, frame, full) in enumerate(frames[half:]):
        big.append(block(6, struct.pack(">IIIII", i % 2, t >> 32, t & 0xFFFFFFFF, len(frame), full) + frame, ">"))
    return b"".join(out + big)


# ---- headers


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Packet:
    """Ethernet, IP and TCP of one frame, apart."""

    def __init__(self, frame):
        self.eth = frame[:12]
        self.type = int.from_bytes(frame[12:14], "big")
        self.l3 = frame[14:]
        self.proto = None
        if self.type == ETH_IP4 and len(self.l3) >= 20:
            self.iplen = (self.l3[0] & 15) * 4
            self.total = int.from_bytes(self.l3[2:4], "big")
            self.proto = self.l3[9]
            self.fragment = int.from_bytes(self.l3[6:8], "big") & 0x3FFF
            self.src, self.dst = self.l3[12:16], self.l3[16:20]
        elif self.type == ETH_IP6 and len(self.l3) >= 40:
            self.iplen = 40
            self.total = 40 + int.from_bytes(self.l3[4:6], "big")
            self.proto = self.l3[6]
            self.fragment = 0
            self.src, self.dst = self.l3[8:24], self.l3[24:40]
        if self.proto is not None:
            self.l3 = self.l3[:self.total]

    @property
    def tcp(self):
        return self.proto == 6 and not self.fragment

    def tcp_parts(self):
        """TCP header and payload."""
        t = self.l3[self.iplen:]
        n = (t[12] >> 4) * 4
        return t[:n], t[n:]

    def key(self):
        t = self.l3[self.iplen:]
        return self.src, self.dst, t[:2], t[2:4]

    def with_tcp(self, header, payload):
        """The frame with another TCP header and payload, lengths and checksums set right."""
        segment = header[:16] + b"\0\0" + header[18:] + payload
        if self.type == ETH_IP4:
            pseudo = self.src + self.dst + struct.pack(">BBH", 0, 6, len(segment))
        else:
            pseudo = self.src + self.dst + struct.pack(">IHBB", len(segment), 0, 0, 6)
        value = checksum(pseudo + segment)
        segment = segment[:16] + struct.pack(">H", value) + segment[18:]
        return self.eth + struct.pack(">H", self.type) + self.with_length(len(segment)) + segment

    def with_length(self, n, ident=None, flags=None):
        ip = bytearray(self.l3[:self.iplen])
        if self.type == ETH_IP4:
            ip[2:4] = struct.pack(">H", self.iplen + n)
            if ident is not None:
                ip[4:6] = struct.pack(">H", ident)
            if flags is not None:
                ip[6:8] = struct.pack(">H", flags)
            ip[10:12] = b"\0\0"
            ip[10:12] = struct.pack(">H", checksum(bytes(ip)))
        else:
            ip[4:6] = struct.pack(">H", n)
        return bytes(ip)


def ip4_header(src, dst, proto, n, ident=1):
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + n, ident & 0xFFFF, 0x4000, 64, proto, 0, src, dst)
    return ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]


# ---- variants of each frame


def per_frame(function):
    def variant(frames, args):
        out = []
        for i, (t, frame, full) in enumerate(frames):
            new = function(frame, i, args)
            out.append((t, new, len(new) + full - len(frame)))
        return out
    variant.__doc__ = function.__doc__
    return variant


OUTER = bytes.fromhex("020000000001020000000002")
TUNNEL = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])


@per_frame
def vlan(frame, i, args):
    """802.1Q tag 123"""
    return frame[:12] + struct.pack(">HH", ETH_VLAN, 123) + frame[12:]


@per_frame
def qinq(frame, i, args):
    """802.1ad tag 200 around 802.1Q tag 123"""
    return frame[:12] + struct.pack(">HHHH", ETH_QINQ, 200, ETH_VLAN, 123) + frame[12:]


@per_frame
def mpls(frame, i, args):
    """two MPLS labels"""
    labels = struct.pack(">II", 16001 << 12 | 64, 17 << 12 | 1 << 8 | 64)
    if int.from_bytes(frame[12:14], "big") not in (ETH_IP4, ETH_IP6):
        return frame
    return frame[:12] + struct.pack(">H", ETH_MPLS) + labels + frame[14:]


def tunnelled(inner, proto, i):
    return OUTER + struct.pack(">H", ETH_IP4) + ip4_header(*TUNNEL, proto, len(inner), i) + inner


@per_frame
def gre(frame, i, args):
    """IP in GRE with a key"""
    kind = int.from_bytes(frame[12:14], "big")
    if kind not in (ETH_IP4, ETH_IP6):
        return frame
    return tunnelled(struct.pack(">HHI", 0x2000, kind, 42) + frame[14:], 47, i)


@per_frame
def vxlan(frame, i, args):
    """Ethernet in VXLAN, VNI 5001"""
    inner = struct.pack(">II", 0x08000000, 5001 << 8) + frame
    return tunnelled(struct.pack(">HHHH", 49152 + i % 1000, 4789, 8 + len(inner), 0) + inner, 17, i)


@per_frame
def erspan2(frame, i, args):
    """ERSPAN type II, session 100"""
    header = struct.pack(">HHI", 0x1000, 0x88BE, i) + struct.pack(">HHI", 0x1000 | 0, 100, 1)
    return tunnelled(header + frame, 47, i)


@per_frame
def ipip(frame, i, args):
    """IPv4 in IPv4 (or IPv6 in IPv4)"""
    kind = int.from_bytes(frame[12:14], "big")
    if kind not in (ETH_IP4, ETH_IP6):
        return frame
    return tunnelled(frame[14:], 4 if kind == ETH_IP4 else 41, i)


# ---- variants of the stream


def ip_fragments(frames, args):
    """IP fragments of --n bytes (default 64), the last one first in every third datagram"""
    size = (args.n or 64) // 8 * 8
    out = []
    for i, (t, frame, full) in enumerate(frames):
        p = Packet(frame)
        body = p.l3[p.iplen:] if p.proto is not None else b""
        if len(body) <= size:
            out.append((t, frame, full))
            continue
        pieces = []
        for at in range(0, len(body), size):
            piece, more = body[at:at + size], at + size < len(body)
            if p.type == ETH_IP4:
                head = p.with_length(len(piece), 1 + i & 0xFFFF, (0x2000 if more else 0) | at // 8)
            else:
                extension = struct.pack(">BBHI", p.proto, 0, at | more, i + 1)
                head = p.with_length(len(piece) + 8)
                head = head[:6] + b"\x2c" + head[7:] + extension
            pieces.append(p.eth + struct.pack(">H", p.type) + head + piece)
        if i % 3 == 2:
            pieces = [pieces[-1], *pieces[:-1]]
        out += [(t + j * 1000, piece, len(piece)) for j, piece in enumerate(pieces)]
    return out


def segments(frames, size):
    out = []
    for t, frame, full in frames:
        p = Packet(frame)
        header, payload = p.tcp_parts() if p.tcp else (b"", b"")
        if len(payload) <= size:
            out.append((t, frame, full))
            continue
        sequence = int.from_bytes(header[4:8], "big")
        for j, at in enumerate(range(0, len(payload), size)):
            piece = payload[at:at + size]
            flags = header[13] if at + size >= len(payload) else header[13] & ~0x09
            h = header[:4] + struct.pack(">I", sequence + at & 0xFFFFFFFF) + header[8:13] + bytes([flags]) + header[14:]
            new = p.with_tcp(h, piece)
            out.append((t + j * 100, new, len(new)))
    return out


def one_byte(frames, args):
    """TCP segments of one byte"""
    return segments(frames, 1)


def resegment(frames, args):
    """TCP segments of at most --n bytes (default 7)"""
    return segments(frames, args.n or 7)


def with_time(frames):
    """Times made to rise, one microsecond apart at least, in the order given."""
    out, last = [], 0
    for t, frame, full in frames:
        last = max(t, last + 1000)
        out.append((last, frame, full))
    return out


def reorder(frames, args):
    """packets of one direction of a connection swapped within windows of four"""
    rng = random.Random(args.seed)
    out = list(frames)
    by_key = {}
    for i, (_, frame, _) in enumerate(frames):
        p = Packet(frame)
        if p.tcp and p.tcp_parts()[1]:
            by_key.setdefault(p.key(), []).append(i)
    for places in by_key.values():
        for at in range(0, len(places) - 1, 4):
            window = places[at:at + 4]
            # Packets far apart in time are answers to one another: those are left as they are.
            window = [w for w in window if frames[w][0] - frames[window[0]][0] < 50_000_000]
            mixed = window[:]
            rng.shuffle(mixed)
            for to, source in zip(window, mixed):
                out[to] = (frames[to][0], frames[source][1], frames[source][2])
    return out


def overlapping(frames, args, differ):
    rng = random.Random(args.seed)
    out, before = [], {}
    for t, frame, full in frames:
        p = Packet(frame)
        if not p.tcp:
            out.append((t, frame, full))
            continue
        header, payload = p.tcp_parts()
        key = p.key()
        old = before.get(key, b"")
        sequence = int.from_bytes(header[4:8], "big")
        if payload and len(old) > 4 and rng.random() < 0.5:
            n = rng.randrange(1, min(len(old), 40))
            again = old[-n:]
            if differ:
                again = bytes(c ^ 0x11 for c in again)
            new = p.with_tcp(header[:4] + struct.pack(">I", sequence - n & 0xFFFFFFFF) + header[8:], again + payload)
            out.append((t, new, len(new)))
        else:
            out.append((t, frame, full))
        if payload:
            before[key] = payload
        elif header[13] & 2:
            before.pop(key, None)
    return out


def overlap_same(frames, args):
    """half of the segments begin some bytes early, with the same bytes again"""
    return overlapping(frames, args, False)


def overlap_differ(frames, args):
    """half of the segments begin some bytes early, with other bytes than the first time; the first copy is the truth"""
    return overlapping(frames, args, True)


def duplicate(frames, args):
    """every packet twice, as two mirror ports give it"""
    return [one for t, frame, full in frames for one in ((t, frame, full), (t + 5000, frame, full))]


def drop_one(frames, args):
    """one full data segment is missing; --n counts from the middle"""
    data = [i for i, (_, frame, _) in enumerate(frames) if (p := Packet(frame)).tcp and len(p.tcp_parts()[1]) > 1000]
    if not data:
        raise SystemExit("no full data segment in this capture")
    gone = data[(len(data) // 2 + (args.n or 0)) % len(data)]
    return frames[:gone] + frames[gone + 1:]


def snaplen(frames, args):
    """frames cut to --n bytes (default 96)"""
    n = args.n or 96
    return [(t, frame[:n], full) for t, frame, full in frames]


def midstream(frames, args):
    """begins after a third of the packets (or after --n packets)"""
    return frames[args.n or len(frames) // 3:]


def one_direction(frames, args):
    """only packets of the side that sent the first SYN (--n 1: only of the other side)"""
    client = {}
    for _, frame, _ in frames:
        p = Packet(frame)
        if p.tcp and p.tcp_parts()[0][13] & 0x12 == 2:
            client[p.key()] = True
    keep = []
    for t, frame, full in frames:
        p = Packet(frame)
        if not p.tcp or (p.key() in client) != bool(args.n):
            keep.append((t, frame, full))
    return keep


def same(frames, args):
    """the same frames"""
    return frames


# ---- the table: frames, then bytes


def plain(frames, args):
    return pcap_bytes(with_time(frames))


def truncated(frames, args):
    """the last record is cut in its middle"""
    data = pcap_bytes(frames)
    return data[:-(len(frames[-1][1]) // 2 + 1)]


def zstd(frames, args):
    """a pcap in zstd"""
    return subprocess.run(["zstd", "-q", "-19", "-c"], input=pcap_bytes(frames), stdout=subprocess.PIPE,
                          check=True).stdout


VARIANTS = {
    "vlan": (vlan, plain), "qinq": (qinq, plain), "mpls": (mpls, plain), "gre": (gre, plain), "vxlan": (vxlan, plain),
    "erspan2": (erspan2, plain), "ipip": (ipip, plain), "ip-fragments": (ip_fragments, plain),
    "reorder": (reorder, plain), "overlap-same": (overlap_same, plain), "overlap-differ": (overlap_differ, plain),
    "duplicate": (duplicate, plain), "one-byte": (one_byte, plain), "resegment": (resegment, plain),
    "drop-one": (drop_one, plain), "snaplen": (snaplen, plain), "midstream": (midstream, plain),
    "one-direction": (one_direction, plain),
    "nanosecond": (same, lambda f, a: pcap_bytes([(t + i % 1000, fr, n) for i, (t, fr, n) in enumerate(f)], nano=True)),
    "big-endian": (same, lambda f, a: pcap_bytes(f, ">")),
    "pcapng": (same, lambda f, a: pcapng_bytes(f)),
    "gzip": (same, lambda f, a: gzip.compress(pcap_bytes(f), mtime=0)),
    "zstd": (same, zstd),
    "truncated": (same, truncated),
}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("input", nargs="?")
    p.add_argument("variant", nargs="?", choices=VARIANTS)
    p.add_argument("output", nargs="?")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--n", type=int, help="the variant's number: bytes, packets, side")
    p.add_argument("--list", action="store_true")
    args = p.parse_args()
    if args.list:
        for name, (change, write) in VARIANTS.items():
            print("%-16s %s" % (name, (change.__doc__ if change is not same else write.__doc__ or name) or name))
        return 0
    if not args.output:
        p.error("IN.pcap VARIANT OUT")
    change, write = VARIANTS[args.variant]
    pathlib.Path(args.output).write_bytes(write(change(read_pcap(args.input), args), args))
    return 0


if __name__ == "__main__":
    sys.exit(main())
