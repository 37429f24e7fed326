#!/usr/bin/env python3
"""Compares the HTTP requests that mcpwatch sees with those that tshark sees.

    cargo build --release
    tests/compare_http.py PATH...

PATH is a capture or a folder of captures. Each capture is read by mcpwatch with
one worker and with two, under a limit on time and memory, and by tshark. What
must hold:

- mcpwatch ends with exit code 0, 2 (not a capture) or 3 (damaged), in time, and
  in the memory it may take;
- it writes the same with one worker and with two, byte for byte;
- it sees the same requests as tshark: the same multiset of method, host and
  target over HTTP/1 on TCP.

A difference that has a reason stands in http_differences.tsv beside this script,
with how many requests only one of the two sees. The exit code is 1 if there is
any other. docs/robustness.md tells where the captures come from.
"""

import argparse
import collections
import concurrent.futures
import gzip
import hashlib
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
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


class Request(collections.namedtuple("Request", "method host target")):
    def __str__(self):
        return " ".join(part if part else "-" for part in self)


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
        magic = file.read(4).hex()
    return bool(SUFFIXES.search(path.name)) or any(magic.startswith(m) for m in MAGIC)


# --- mcpwatch -----------------------------------------------------------------

class Run:
    """One run of mcpwatch: how it ended, and what it wrote."""

    def __init__(self, options, capture, workers, folder):
        findings = pathlib.Path(folder, f"findings-{workers}.jsonl")
        log = pathlib.Path(folder, f"http-{workers}.jsonl")
        command = [
            options.mcpwatch, "scan", "--quiet", "--messages", "--workers", str(workers),
            "--output", findings, "--http-log", log, capture,
        ]
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
            if http["version"].startswith("1."):
                request = Request(http["method"], http.get("host", ""), http["target"])
                flow = row["flow"]["community_id"]
                yield request, tunnels.get(flow, row["flow"]["server_port"])
                port = http["target"].rpartition(":")[2]
                if http["method"] == "CONNECT" and port.isdecimal():
                    tunnels[flow] = int(port)


# --- tshark -------------------------------------------------------------------

FIELD = re.compile(rb'<field name="(http\.[a-z.]+)".* show="([^"]*)" value="([0-9a-f]*)"')


def tshark(options, capture, ports=()):
    """What tshark calls a request, from its PDML: there, unlike in the output of
    `-T fields`, the requests of one packet stay apart and bytes stay bytes.
    On `ports` it is told to expect HTTP."""
    filter = "http.request and tcp and not icmp and not icmpv6"
    command = [options.tshark, "-n", *TSHARK_OPTIONS, "-r", capture, "-Y", filter]
    for port in ports:
        command += ["-d", f"tcp.port=={port},http"]
    output = cached(options, capture, [*command, "-T", "pdml", "-J", "http"])
    for message in output.split(b'<proto name="http"')[1:]:
        fields = {}
        for line in message.split(b"\n"):
            found = FIELD.search(line)
            if found:
                fields.setdefault(found[1].decode(), bytes.fromhex(found[3].decode()))
        if "http.request.method" in fields:
            yield request_of(fields)


def request_of(fields):
    def text(value):
        return value.decode("utf-8", errors="replace")

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
    key = hashlib.sha256(capture.read_bytes() + repr(command[1:]).encode()).hexdigest()
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

    def __init__(self, options, capture):
        self.capture = capture
        self.troubles = []
        self.megabytes = self.seconds = 0
        with tempfile.TemporaryDirectory() as folder:
            run = self.run(options, capture, folder)
            for seed in range(options.damaged):
                copy = pathlib.Path(folder, f"damaged-{seed}{capture.suffix}")
                copy.write_bytes(damage(capture, seed))
                self.run(options, copy, folder)
        self.code = run.code
        requests = list(run.requests())
        self.ours = collections.Counter(request for request, _ in requests)
        self.compare(tshark(options, capture))
        self.told_ports = False
        if self.only_ours:
            # tshark goes by port numbers first.
            ports = {port for request, port in requests if request in self.only_ours}
            before, self.told_ports = self.theirs, True
            self.compare(tshark(options, capture, sorted(ports)[:MAX_PORTS]))
            if (self.ours & self.theirs).total() <= (self.ours & before).total():
                self.compare(before)
                self.told_ports = False

    def run(self, options, capture, folder):
        """Runs mcpwatch with one worker and with two."""
        one, two = (Run(options, capture, workers, folder) for workers in (1, 2))
        troubles = [*one.troubles(options), *two.troubles(options)]
        for what in ("code", "findings", "log"):
            if getattr(one, what) != getattr(two, what):
                troubles.append(f"{what} differ between one worker and two")
        self.troubles += [f"{capture.name}: {trouble}" for trouble in troubles]
        self.megabytes = max(self.megabytes, one.megabytes, two.megabytes)
        self.seconds = max(self.seconds, one.seconds, two.seconds)
        return one

    def compare(self, theirs):
        self.theirs = collections.Counter(theirs)
        self.only_ours, self.only_theirs = self.ours - self.theirs, self.theirs - self.ours

    def counts(self):
        """Requests that only tshark sees, and that only mcpwatch sees."""
        return self.only_theirs.total(), self.only_ours.total()


def damage(capture, seed):
    """A copy of the capture with some of its bytes changed and its end cut; of a
    compressed one, of what is in it."""
    random = Random(f"{capture.name} {seed}")
    content = capture.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    content = bytearray(content)
    # One byte in fifty at most: half of the copies are damaged lightly.
    for _ in range(int(len(content) * random.choice([0.0002, 0.02]) * random.random())):
        # The file's header is left alone, or nothing would be read at all.
        content[random.randrange(24, len(content))] = random.randrange(256)
    return content[: int(len(content) * random.choice([1, 1, random.random()]))]


class Known:
    """The differences that have a reason."""

    def __init__(self, file):
        self.rows = {}
        for line in file.read_text().splitlines():
            if line and not line.startswith("#"):
                name, only_tshark, only_mcpwatch, reason = line.split("\t")
                self.rows[name] = ((int(only_tshark), int(only_mcpwatch)), reason)

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
    add("--cache", type=pathlib.Path, help="folder that keeps what tshark said")
    add("--seconds", type=float, default=20, help="for one run of mcpwatch [%(default)s]")
    add("--megabytes", type=float, default=400, help="for one run of mcpwatch [%(default)s]")
    add("--jobs", type=int, default=os.cpu_count())
    add("--damaged", type=int, default=0, metavar="N",
        help="read N damaged copies of each capture too; of these only the conduct counts")
    add("--show", type=int, default=10, help="requests shown of a difference [%(default)s]")
    add("--verbose", action="store_true", help="show differences that have a reason too")
    options = parser.parse_args()
    known = Known(options.differences)
    # A runaway must not take the machine with it.
    resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, 8 << 30))
    if options.cache:
        options.cache.mkdir(parents=True, exist_ok=True)

    totals = collections.Counter()
    peak, slowest = (0.0, "-"), (0.0, "-")
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = pool.map(lambda capture: Result(options, capture), captures(options.paths))
        for result in jobs:
            reason = known.reason(result)
            show(result, reason, options)
            name = name_of(result.capture)
            if known.is_stale(result):
                print(f"{name}: has a reason, but no difference any more")
            differs = result.counts() != (0, 0)
            totals["captures"] += 1
            totals[f"exit code {result.code}"] += 1
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
