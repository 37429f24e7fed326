"""Real SDK clients and servers talk over a veth pair while `mcpwatch sense` watches and tcpdump captures the same.

Says whether the sensor found what `scan` finds in the capture, and how long after its packet each finding came.
Needs root (ip netns), tcpdump, and a Python with the packages of requirements/py130.txt:

    python3 -m venv venv && venv/bin/pip install -r requirements/py130.txt
    sudo python3 live.py --mcpwatch ../../target/release/mcpwatch --python venv/bin/python
"""

import argparse
import collections
import contextlib
import datetime
import json
import pathlib
import subprocess
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
CLIENT, SERVER = "mcpwatch-client", "mcpwatch-server"
SCENES = [("http", "basic"), ("http", "full"), ("sse", "basic"), ("ws", "basic")]


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def within(namespace, *command):
    return ["ip", "netns", "exec", namespace, *map(str, command)]


@contextlib.contextmanager
def lab():
    """Two namespaces and a wire between them, without offloads."""
    ip("netns", "add", CLIENT)
    try:
        ip("netns", "add", SERVER)
        ip("link", "add", "wire", "netns", CLIENT, "type", "veth", "peer", "name", "wire", "netns", SERVER)
        for namespace, address in [(CLIENT, "192.0.2.1/24"), (SERVER, "192.0.2.2/24")]:
            ip("-n", namespace, "address", "add", address, "dev", "wire")
            for device in ["lo", "wire"]:
                ip("-n", namespace, "link", "set", device, "up")
            off = [word for name in ["tso", "gso", "gro", "tx"] for word in (name, "off")]
            subprocess.run(within(namespace, "ethtool", "-K", "wire", *off), capture_output=True)
        yield
    finally:
        for namespace in [CLIENT, SERVER]:
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True)


def start(namespace, *command, ready=None, **options):
    """Starts a program, and waits until it says that it is ready on standard error."""
    process = subprocess.Popen(within(namespace, *command), text=True, stderr=subprocess.PIPE, **options)
    while ready and ready not in process.stderr.readline():
        pass
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process


def comparable(row):
    """A row without what two captures of the same packets number differently."""
    row = {name: value for name, value in row.items() if name not in ("id", "time", "end_time", "capture")}
    return json.dumps(row, sort_keys=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mcpwatch", type=pathlib.Path, required=True)
    p.add_argument("--python", type=pathlib.Path, required=True)
    p.add_argument("--rounds", type=int, default=3)
    args = p.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mcpwatch-live-"))
    pcap = folder / "wire.pcap"
    rows, delays = [], []

    def read(stream):
        for line in stream:
            row = json.loads(line)
            said = datetime.datetime.fromisoformat(row["end_time"].replace("Z", "+00:00")).timestamp()
            rows.append(row)
            if row["kind"] in ("message", "detection"):
                delays.append(time.time() - said)

    with lab():
        tcpdump = start(SERVER, "tcpdump", "-i", "wire", "-s", 0, "-U", "-Z", "root", "-w", pcap, ready="listening")
        sensor = start(SERVER, args.mcpwatch.resolve(), "sense", "-i", "wire", "--messages", "-o", "-",
                       ready="watching", stdout=subprocess.PIPE)
        reader = threading.Thread(target=read, args=[sensor.stdout])
        reader.start()
        for number, (transport, scene) in enumerate(SCENES * args.rounds):
            port = 8000 + number
            path = {"http": "/mcp", "sse": "/sse", "ws": "/ws"}[transport]
            scheme = "ws" if transport == "ws" else "http"
            server = start(SERVER, args.python.absolute(), HERE / "py/server1.py", "--port", port, "--path", path,
                           "--transport", transport, "--log", folder / f"server-{number}.log")
            while not subprocess.run(within(SERVER, "ss", "-Htln", "sport", "=", f":{port}"), capture_output=True).stdout:
                time.sleep(0.1)
            client = subprocess.run(
                within(CLIENT, args.python.absolute(), HERE / "py/client1.py", f"{scheme}://192.0.2.2:{port}{path}",
                       "--transport", transport, "--scene", scene), capture_output=True, text=True, timeout=60)
            server.terminate()
            server.wait()
            print(f"{transport} {scene}: " + ("done" if client.returncode == 0 else client.stderr[-300:]), flush=True)
        time.sleep(1)
        tcpdump.terminate()
        tcpdump.wait()
        sensor.terminate()
        sensor.wait()
        reader.join()
    scanned = subprocess.run([args.mcpwatch.resolve(), "scan", "-q", "--messages", "-o", "-", "-f", "jsonl", pcap],
                             capture_output=True, text=True).stdout
    ours = collections.Counter(map(comparable, rows))
    theirs = collections.Counter(comparable(json.loads(line)) for line in scanned.splitlines())
    kinds = collections.Counter(row["kind"] for row in rows)
    print(f"findings: {dict(kinds)}; equal to those of scan: {ours == theirs}")
    delays.sort()
    if delays:
        at = lambda part: delays[min(int(part * len(delays)), len(delays) - 1)] * 1000
        print(f"from packet to finding, of {len(delays)}: half {at(0.5):.0f} ms, 95 % {at(0.95):.0f} ms, "
              f"longest {delays[-1] * 1000:.0f} ms")
    for row in ((ours - theirs) + (theirs - ours)):
        print("only in one:", row[:300])


if __name__ == "__main__":
    main()
