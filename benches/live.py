"""How fast frames may come until they are lost: mcpwatch beside tcpdump and Suricata.

tcpreplay sends a capture over a veth pair at rising rates, to one program at a time, in turns. Of each program the
highest rate is told at which it lost nothing, and of mcpwatch that frames read and lost are those sent at every rate.

    cargo bench --bench throughput -- --generate web.pcap --size 256M
    sudo python3 benches/live.py --mcpwatch target/release/mcpwatch web.pcap

What is measured and how to read it: docs/benchmarks.md.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
RATES = [200, 400, 800, 1200, 1600, 2000, 3000, 0]
SENDER, WATCHED = "mcpwatch-tx", "mcpwatch-rx"


@contextlib.contextmanager
def wire():
    """A veth pair without offloads and addresses."""
    subprocess.run(["ip", "link", "add", SENDER, "type", "veth", "peer", "name", WATCHED], check=True)
    try:
        for device in [SENDER, WATCHED]:
            path = pathlib.Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6")
            if path.exists():
                path.write_text("1")
            subprocess.run(["ip", "link", "set", device, "mtu", "9000", "up"], check=True)
            off = [word for name in ["tso", "gso", "gro", "tx"] for word in (name, "off")]
            subprocess.run(["ethtool", "-K", device, *off], capture_output=True)
        yield
    finally:
        subprocess.run(["ip", "link", "del", SENDER])


def replay(capture, rate, seconds):
    """Sends for about so long; returns frames sent and the rate that was reached, in Mbit/s."""
    speed = ["--mbps", str(rate)] if rate else ["--topspeed"]
    command = ["tcpreplay", "-i", SENDER, "-K", "--loop", "1000", "--unique-ip", "--duration", str(seconds), *speed, capture]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    frames = int(re.search(r"Actual: (\d+) packets", said)[1])
    return frames, float(re.search(r"([\d.]+) Mbps", said)[1])


def seconds_of(pid):
    """Processor time of a process so far, of user and kernel."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Mcpwatch:
    def __init__(self, program, folder):
        self.stats = folder / "stats.json"
        self.program = [program, "sense", "-i", WATCHED, "--ring", "64M", "-o", folder / "findings.arrows",
                        "--stats", self.stats]

    def start(self):
        self.process = subprocess.Popen(self.program, stderr=subprocess.PIPE, text=True)
        while "watching" not in self.process.stderr.readline():
            pass

    def end(self):
        """Frames that came, and those lost."""
        self.process.terminate()
        self.process.communicate()
        counted = json.loads(self.stats.read_text())
        self.shed = counted["body"]["shed"] + counted["observer"]["encrypted_shed"]
        counted = counted["interfaces"][0]
        assert counted["received"] == counted["frames"] + counted["lost"], counted
        return counted["received"], counted["lost"]


class Tcpdump:
    def __init__(self, folder):
        self.program = ["tcpdump", "-i", WATCHED, "-s", "0", "-B", "65536", "-Z", "root", "-w", "/dev/null"]

    def start(self):
        self.process = subprocess.Popen(self.program, stderr=subprocess.PIPE, text=True)
        while "listening" not in self.process.stderr.readline():
            pass

    def end(self):
        self.process.terminate()
        said = self.process.communicate()[1]
        return (int(re.search(r"(\d+) packets received", said)[1]), int(re.search(r"(\d+) packets dropped", said)[1]))


class Suricata:
    def __init__(self, folder):
        self.folder = folder
        configuration = folder / "suricata.yaml"
        text = (HERE / "suricata/suricata.yaml").read_text()
        text += f"""
af-packet:
  - interface: {WATCHED}
    threads: auto
    cluster-id: 77
    cluster-type: cluster_flow
    defrag: yes
    tpacket-v3: yes
    ring-size: 40000
    block-size: 1048576
    checksum-checks: no
"""
        text = text.replace("stats: {enabled: no}", "stats: {enabled: yes, interval: 1}")
        text = text.replace("      types:\n        - alert:", "      types:\n        - stats: {totals: yes}\n        - alert:")
        text = text.replace("default-log-level: error", "default-log-level: notice")
        configuration.write_text(text)
        self.program = ["suricata", "-c", configuration, "-S", HERE / "suricata/mcp.rules", "-l", folder,
                        "--af-packet=" + WATCHED, "-k", "none", "--runmode", "workers"]

    def start(self):
        self.process = subprocess.Popen(self.program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in self.process.stdout:
            if "started" in line.lower():
                break
        else:
            raise SystemExit("suricata does not start")
        time.sleep(1)

    def end(self):
        time.sleep(2)
        self.process.terminate()
        self.process.communicate()
        last = {}
        for line in (self.folder / "eve.json").read_text().splitlines():
            row = json.loads(line)
            if row["event_type"] == "stats":
                last = row["stats"]["capture"]
        return last["kernel_packets"], last["kernel_drops"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("capture")
    p.add_argument("--mcpwatch", required=True)
    p.add_argument("--seconds", type=int, default=5)
    p.add_argument("--runs", type=int, default=3)
    args = p.parse_args()
    found = lambda name: any(os.access(f"{folder}/{name}", os.X_OK) for folder in os.environ["PATH"].split(":"))
    best, costs = {}, {}
    with tempfile.TemporaryDirectory() as folder, wire():
        for name in ["mcpwatch", "tcpdump", "suricata"]:
            (pathlib.Path(folder) / name).mkdir()
        contestants = {"mcpwatch": Mcpwatch(args.mcpwatch, pathlib.Path(folder) / "mcpwatch")}
        if found("tcpdump"):
            contestants["tcpdump"] = Tcpdump(pathlib.Path(folder) / "tcpdump")
        if found("suricata"):
            contestants["suricata"] = Suricata(pathlib.Path(folder) / "suricata")
        for run in range(args.runs):
            out = set()
            for rate in RATES:
                for name, contestant in contestants.items():
                    if name in out:
                        continue
                    contestant.start()
                    before = seconds_of(contestant.process.pid)
                    try:
                        sent, reached = replay(args.capture, rate, args.seconds)
                        time.sleep(0.5)
                        cpu = seconds_of(contestant.process.pid) - before
                        received, lost = contestant.end()
                    finally:
                        contestant.process.kill()
                    note = "" if received == sent else f" of {received} that it counted"
                    if name == "mcpwatch":
                        assert received == sent, (received, sent)
                        note = f", {contestant.shed} left out"
                    print(f"run {run} {rate or 'top':>5} {name:>9}: {reached:7.0f} Mbit/s, {sent} sent, {lost} lost, "
                          f"{cpu / sent * 1e6:.2f} CPU s a million frames{note}", flush=True)
                    costs.setdefault(name, []).append(cpu / sent * 1e6)
                    if lost:
                        out.add(name)
                    else:
                        best.setdefault(name, {})[run] = max(reached, best.get(name, {}).get(run, 0))
    for name, runs in best.items():
        runs = sorted(runs.values())
        cost = sorted(costs[name])[len(costs[name]) // 2]
        print(f"{name}: without loss up to {runs[len(runs) // 2]:.0f} Mbit/s, {cost:.2f} CPU s a million frames (medians)")


if __name__ == "__main__":
    main()
