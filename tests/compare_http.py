#!/usr/bin/env python3
"""Compares the HTTP requests that mcpwatch sees with those that tshark sees.

    cargo build --release
    tests/compare_http.py --unpack SOURCES CAPTURES
    tests/compare_http.py CAPTURES

The first line takes the captures and key logs out of the source packages in the
folder SOURCES. CAPTURES is a folder of captures; single ones do as well. Each is read by mcpwatch with
one worker and with three, under a limit on time and memory, and by tshark. What
must hold:

- mcpwatch ends with exit code 0, 2 (not a capture) or 3 (damaged), in time, and
  in the memory it may take;
- it writes the same with one worker and with three, byte for byte;
- it sees the same requests as tshark: the same multiset of method, host and
  target over HTTP/1 and HTTP/2, in TLS where there are keys; over HTTP/3 the same
  number, for tshark up to 4.0 does not undo QPACK.

With --mutate, damaged copies of the small captures are read as well, for which
the first two points count.

http_keys.tsv beside this script tells which key log belongs to which capture. A
difference that has a reason stands in http_differences.tsv beside this script,
with how many requests only one of the two sees. The exit code is 1 if there is
any other. docs/robustness.md tells where the captures come from.
"""

import argparse
import collections
import concurrent.futures
import gzip
import hashlib
import itertools
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from random import Random

HERE = pathlib.Path(__file__).resolve().parent

# First bytes of pcap (four kinds), pcap of Kuznetzov's (two), pcapng; gzip and
# zstd are tried, whatever is in them.
MAGIC = [
    "a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1", "a1b2cd34", "34cdb2a1",
    "0a0d0d0a", "1f8b", "28b52ffd",
]
SUFFIXES = re.compile(r"\.(pcap|pcapng|cap|ntar)(\.(gz|zst|\d+))?$", re.IGNORECASE)

TSHARK_OPTIONS = [
    "-o", "tcp.desegment_tcp_streams:TRUE",
    "-o", "tcp.reassemble_out_of_order:TRUE",
    "-o", "http.desegment_headers:TRUE",
    "-o", "http.desegment_body:TRUE",
    "-o", "http.decompress_body:FALSE",
]

# Ports that tshark is told of, for one capture.
MAX_PORTS = 32

# Captures up to this size are damaged.
SMALL = 1_000_000


class Request(collections.namedtuple("Request", "method host target")):
    def __str__(self):
        return " ".join(part if part else "-" for part in self)


# A request of which only the number counts.
HTTP3 = Request("HTTP/3", "", "")


def captures(paths):
    """All captures under the paths, in a stable order."""
    for path in paths:
        if path.is_file():
            yield path
            continue
        for found in sorted(path.rglob("*")):
            if found.is_file() and not found.is_symlink() and is_capture(found):
                yield found


def is_capture(path):
    with path.open("rb") as file:
        return looks_like_capture(path.name, file.read(4))


def looks_like_capture(name, begin):
    return bool(SUFFIXES.search(name)) or any(begin.hex().startswith(m) for m in MAGIC)


def unpack(sources, folder):
    """Puts the captures in source packages into a folder for each package, key logs
    into a folder below it. Of captures with the same content one is kept."""
    seen = set()
    for archive in sorted(sources.glob("*.orig.tar.*")):
        if archive.suffix == ".asc":
            continue
        package = folder / archive.name.partition("_")[0]
        with tarfile.open(archive) as tar:
            # In the archive's order: going back would decompress it anew.
            for member in filter(tarfile.TarInfo.isfile, tar):
                path = pathlib.PurePosixPath(member.name)
                content = tar.extractfile(member).read()
                if path.parent.match("test/keys"):
                    put(package / "keys" / path.name, content)
                elif SUFFIXES.search(path.name) or content[:4].hex() in MAGIC:
                    digest = hashlib.sha256(content).digest()
                    if digest not in seen:
                        put(unused(package / path.name), content)
                    seen.add(digest)


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def unused(path):
    """The path, or with a number before the name if there is such a file."""
    names = (path.with_name(f"{number}-{path.name}") for number in itertools.count(1))
    return next(it for it in itertools.chain([path], names) if not it.exists())


# --- mcpwatch -----------------------------------------------------------------

class Run:
    """One run of mcpwatch: how it ended, and what it wrote."""

    def __init__(self, options, capture, workers, folder, keys=None):
        findings = pathlib.Path(folder, f"findings-{workers}.jsonl")
        log = pathlib.Path(folder, f"http-{workers}.jsonl")
        command = [
            options.mcpwatch, "scan", "--quiet", "--messages", "--workers", str(workers),
            "--output", findings, "--http-log", log, capture,
        ]
        command += ["--keylog", keys] if keys else []
        started = time.monotonic()
        with tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(command, stdout=stderr, stderr=stderr)
            timer = threading.Timer(options.seconds, process.kill)
            timer.start()
            # Of all the ways to wait, this one tells the memory of the child.
            _, status, usage = os.wait4(process.pid, 0)
            timer.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
            stderr.seek(0)
            self.complaint = stderr.read().decode(errors="replace").strip()
        self.seconds = time.monotonic() - started
        self.code = process.returncode
        self.megabytes = usage.ru_maxrss / 1024
        self.findings = findings.read_bytes() if findings.exists() else b""
        self.log = log.read_bytes() if log.exists() else b""

    def troubles(self, options):
        if self.seconds >= options.seconds:
            yield f"killed after {self.seconds:.0f} s"
        elif self.code not in (0, 2, 3):
            yield f"exit code {self.code}: {self.complaint[-300:]}"
        if self.megabytes > options.megabytes:
            yield f"took {self.megabytes:.0f} MB"

    def requests(self):
        """The requests, each with the port it went to: in a tunnel, the one that
        the tunnel leads to."""
        tunnels = {}
        for line in self.log.splitlines():
            row = json.loads(line)
            http = row["http"]
            flow, port = row["flow"]["community_id"], row["flow"]["server_port"]
            if http["version"] == "3":
                yield HTTP3, port
                continue
            yield Request(http["method"], http.get("host", ""), http["target"]), (
                tunnels.get(flow, port)
            )
            port = http["target"].rpartition(":")[2]
            if http["method"] == "CONNECT" and port.isdecimal():
                tunnels[flow] = int(port)


# --- tshark -------------------------------------------------------------------

FIELD = re.compile(
    rb'<field name="(http\.request\.method|http\.request\.uri|http\.host'
    rb'|http2\.headers\.(?:method|authority|path))".* value="([0-9a-f]*)"'
)
STREAM = re.compile(rb'<field name="quic.stream.stream_id".* show="(\d+)"')
CONNECTION = re.compile(rb'<field name="quic.connection.number".* show="(\d+)"')
HTTP3_HEADERS = re.compile(rb'<field name="http3.frame_type".* show="1"')
FILTER = (
    "(http.request and tcp and not icmp and not icmpv6) or http2.headers.method"
    " or http3.frame_type == 1"
)


def tshark(options, capture, ports=(), keys=None):
    """What tshark calls a request, from its PDML: there, unlike in the output of
    `-T fields`, the requests of one packet stay apart and bytes stay bytes.
    On `ports` it is told to expect HTTP."""
    command = [options.tshark, "-n", *TSHARK_OPTIONS, "-r", capture, "-Y", FILTER]
    for port in ports:
        command += ["-d", f"tcp.port=={port},http"]
    if keys:
        command += ["-o", f"tls.keylog_file:{keys}"]
    output = cached(options, capture, [*command, "-T", "pdml", "-J", "http http2 http3 quic"])
    streams = set()
    for packet in output.split(b"<packet>"):
        for message in re.split(rb'<proto name="http2?"', packet)[1:]:
            fields = {}
            for line in message.split(b"\n"):
                found = FIELD.search(line)
                if found:
                    fields.setdefault(found[1].decode(), bytes.fromhex(found[2].decode()))
            if "http.request.method" in fields:
                yield request_of(fields)
            elif "http2.headers.method" in fields:
                names = ("method", "authority", "path")
                yield Request(*(text(fields.get(f"http2.headers.{name}", b"")) for name in names))
        if HTTP3_HEADERS.search(packet):
            # RFC 9114 section 6.1: a request has a stream to itself, which the
            # client opens, for both directions.
            requests = [int(number) for number in STREAM.findall(packet)]
            connection = CONNECTION.findall(packet)[:1]
            streams.update((*connection, number) for number in requests if number % 4 == 0)
    yield from [HTTP3] * len(streams)


def text(value):
    return value.decode("utf-8", errors="replace")


def request_of(fields):
    target = fields.get("http.request.uri", b"")
    host = fields.get("http.host", b"").partition(b":")[2]
    host = re.sub(rb"\r?\n[ \t]*", b" ", host).strip()
    # RFC 9112 section 3.2.2: the authority of a target in absolute form goes
    # before the Host field.
    absolute = re.match(rb"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?([^/?#]*)", target)
    if absolute:
        host = absolute[1]
    return Request(text(fields["http.request.method"]), text(host), text(target))


def cached(options, capture, command):
    """Runs tshark, or takes what it said the last time."""
    if not options.cache:
        return run_tshark(command, options)
    told = [word for word in command[1:] if word != capture]
    key = hashlib.sha256(capture.read_bytes() + repr(told).encode()).hexdigest()
    file = options.cache / key
    if not file.exists():
        output = run_tshark(command, options)
        partial = file.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
        partial.write_bytes(output)
        partial.rename(file)
    return file.read_bytes()


def run_tshark(command, options):
    try:
        return subprocess.run(
            command, capture_output=True, check=False, timeout=options.seconds * 15
        ).stdout
    except subprocess.TimeoutExpired:
        print(f"{command[-1]}: tshark gave up", file=sys.stderr)
        return b""


# --- comparison ---------------------------------------------------------------

class Result:
    """What came of one capture."""

    def __init__(self, options, capture, keys):
        self.capture = capture
        self.troubles = []
        self.megabytes = self.seconds = 0
        self.mutants = collections.Counter()
        with tempfile.TemporaryDirectory() as folder:
            run = self.run(options, capture, folder, keys)
            small = capture.stat().st_size <= SMALL
            for number in range(options.mutate if small else 0):
                copy = pathlib.Path(folder, f"{options.seed}-{number}-{capture.name}")
                copy.write_bytes(damage(capture, f"{options.seed} {number}"))
                self.mutants[self.run(options, copy, folder, keys).code] += 1
                copy.unlink()
        self.code = run.code
        requests = list(run.requests())
        self.ours = collections.Counter(request for request, _ in requests)
        self.compare(tshark(options, capture, keys=keys))
        self.told_ports = False
        if self.only_ours:
            # tshark goes by port numbers first.
            ports = {port for request, port in requests if request in self.only_ours}
            before, self.told_ports = self.theirs, True
            self.compare(tshark(options, capture, sorted(ports)[:MAX_PORTS], keys))
            if (self.ours & self.theirs).total() <= (self.ours & before).total():
                self.compare(before)
                self.told_ports = False

    def run(self, options, capture, folder, keys):
        """Runs mcpwatch with one worker and with three."""
        one, three = (Run(options, capture, workers, folder, keys) for workers in (1, 3))
        troubles = [*one.troubles(options), *three.troubles(options)]
        for what in ("code", "findings", "log"):
            if getattr(one, what) != getattr(three, what):
                troubles.append(f"{what} differ between one worker and three")
        self.troubles += [f"{capture.name}: {trouble}" for trouble in troubles]
        if troubles and options.keep:
            put(unused(options.keep / capture.name), capture.read_bytes())
        self.megabytes = max(self.megabytes, one.megabytes, three.megabytes)
        self.seconds = max(self.seconds, one.seconds, three.seconds)
        return one

    def compare(self, theirs):
        self.theirs = collections.Counter(theirs)
        self.only_ours, self.only_theirs = self.ours - self.theirs, self.theirs - self.ours

    def counts(self):
        """Requests that only tshark sees, and that only mcpwatch sees."""
        return self.only_theirs.total(), self.only_ours.total()


def damage(capture, seed):
    """A copy of the capture with bits flipped, bytes overwritten and, one time in
    three, its end cut off; of a compressed one, mostly of what is in it."""
    random = Random(f"{capture.name} {seed}")
    content = capture.read_bytes()
    if content.startswith(b"\x1f\x8b") and random.random() < 0.8:
        content = gzip.decompress(content)
    content = bytearray(content)
    # One byte in fifty at most; half of the copies are damaged lightly, and mostly
    # the file's header is left alone, or nothing would be read at all.
    begin = 24 if len(content) > 24 and random.random() < 0.9 else 0
    rate = random.choice([0.0002, 0.02]) * random.random()
    for _ in range(1 + int(len(content) * rate) if len(content) > begin else 0):
        at = random.randrange(begin, len(content))
        if random.random() < 0.7:
            content[at] ^= 1 << random.randrange(8)
        else:
            content[at] = random.choice([0, 0xFF, random.randrange(256)])
    return content[: int(len(content) * random.choice([1, 1, random.random()]))]


def table(file):
    """The rows of a table, without comments, by the name of the capture."""
    lines = file.read_text().splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {row[0]: row[1:] for row in rows}


class Known:
    """The differences that have a reason."""

    def __init__(self, file):
        self.rows = {
            name: ((int(only_tshark), int(only_mcpwatch)), reason)
            for name, (only_tshark, only_mcpwatch, reason) in table(file).items()
        }

    def reason(self, result):
        counts, reason = self.rows.get(name_of(result.capture), (None, None))
        return reason if counts == result.counts() else None

    def is_stale(self, result):
        return name_of(result.capture) in self.rows and result.counts() == (0, 0)


def name_of(capture):
    """A capture's name: with its folder, for the same names come twice."""
    return f"{capture.resolve().parent.name}/{capture.name}"


def show(result, reason, options):
    for trouble in result.troubles:
        print(f"{name_of(result.capture)}: {trouble}")
    if result.counts() == (0, 0) or (reason and not options.verbose):
        return
    print(f"{name_of(result.capture)}: {reason or 'UNEXPLAINED'}")
    for side, requests in (("tshark", result.only_theirs), ("mcpwatch", result.only_ours)):
        print(f"  only {side}: {requests.total()}") if requests else None
        for request, count in list(requests.items())[: options.show]:
            print(f"    {count} x {str(request)[:200]!a}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("paths", nargs="+", type=pathlib.Path, metavar="PATH")
    add("--mcpwatch", type=pathlib.Path, default=HERE.parent / "target/release/mcpwatch")
    add("--tshark", default="tshark")
    add("--differences", type=pathlib.Path, default=HERE / "http_differences.tsv")
    add("--keys", type=pathlib.Path, default=HERE / "http_keys.tsv")
    add("--cache", type=pathlib.Path, help="folder that keeps what tshark said")
    add("--seconds", type=float, default=20, help="for one run of mcpwatch [%(default)s]")
    add("--megabytes", type=float, default=400, help="for one run of mcpwatch [%(default)s]")
    add("--jobs", type=int, default=os.cpu_count())
    add("--unpack", type=pathlib.Path, metavar="SOURCES",
        help="take the captures out of the source packages in this folder, into PATH")
    add("--mutate", type=int, default=0, metavar="N",
        help=f"read N damaged copies of each capture of up to {SMALL:,} bytes too")
    add("--seed", type=int, default=0, help="how they are damaged [%(default)s]")
    add("--keep", type=pathlib.Path, metavar="FOLDER",
        help="keep what mcpwatch had trouble with here")
    add("--show", type=int, default=10, help="requests shown of a difference [%(default)s]")
    add("--verbose", action="store_true", help="show differences that have a reason too")
    options = parser.parse_args()
    if options.unpack:
        return unpack(options.unpack, options.paths[0])
    known = Known(options.differences)
    keys = table(options.keys)

    def read(capture):
        key_log = keys.get(name_of(capture))
        return Result(options, capture, capture.resolve().parent / key_log[0] if key_log else None)

    # A runaway must not take the machine with it.
    resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, 8 << 30))
    if options.cache:
        options.cache.mkdir(parents=True, exist_ok=True)

    totals = collections.Counter()
    peak, slowest = (0.0, "-"), (0.0, "-")
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for result in pool.map(read, captures(options.paths)):
            reason = known.reason(result)
            show(result, reason, options)
            name = name_of(result.capture)
            if known.is_stale(result):
                print(f"{name}: has a reason, but no difference any more")
            differs = result.counts() != (0, 0)
            totals["captures"] += 1
            totals[f"exit code {result.code}"] += 1
            for code, count in result.mutants.items():
                totals["damaged copies"] += count
                totals[f"damaged copies with exit code {code}"] += count
            totals["with requests"] += bool(result.ours or result.theirs)
            totals["with explained differences"] += bool(differs and reason)
            totals["with unexplained differences"] += bool(differs and not reason)
            totals["with other trouble"] += bool(result.troubles)
            totals["whose ports tshark had to be told"] += result.told_ports
            totals["requests seen by tshark"] += result.theirs.total()
            totals["requests seen by mcpwatch"] += result.ours.total()
            totals["requests seen by both"] += (result.ours & result.theirs).total()
            peak = max(peak, (result.megabytes, name))
            slowest = max(slowest, (result.seconds, name))
    for what, count in totals.items():
        print(f"{count:8} {what}")
    print(f"{peak[0]:8.0f} MB at most, for {peak[1]}")
    print(f"{slowest[0]:8.1f} s at most, for {slowest[1]}")
    bad = totals["with unexplained differences"] + totals["with other trouble"]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
