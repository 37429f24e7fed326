"""A small network of namespaces to record in.

    mcpw-PID-lan   a bridge
    mcpw-PID-srv   10.20.0.10 ... 10.20.0.16, 10.20.0.80: all servers; tcpdump listens here
    mcpw-PID-c1    10.20.0.101: clients
    mcpw-PID-c2    10.20.0.102: clients

No address outside is reachable from them. Names are answered by
/etc/netns/NAME/hosts, or by a name server in `srv`. Offloads are off, so that packets are as they would be
on a wire: MTU 1500, true checksums.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time

SERVERS = ["10.20.0.10", "10.20.0.11", "10.20.0.12", "10.20.0.13", "10.20.0.14", "10.20.0.15", "10.20.0.16",
           "10.20.0.80"]
CLIENTS = {"c1": "10.20.0.101", "c2": "10.20.0.102"}
NAMES = {
    "10.20.0.10": ["books.corp.test", "mcp.stripe.com"],
    "10.20.0.11": ["legacy.corp.test"],
    "10.20.0.12": ["tools.corp.test"],
    "10.20.0.80": ["www.corp.test", "mcp.example.com"],
}


def sh(*cmd, **kwargs):
    return subprocess.run([str(c) for c in cmd], check=True, capture_output=True, text=True, **kwargs)


class Lab:
    def __init__(self):
        self.prefix = "mcpw-%d-" % os.getpid()
        self.running = []

    def ns(self, name):
        return self.prefix + name

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self):
        for name in ("lan", "srv", *CLIENTS):
            sh("ip", "netns", "add", self.ns(name))
            sh("ip", "-n", self.ns(name), "link", "set", "lo", "up")
            self.run_in(name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0")
        sh("ip", "-n", self.ns("lan"), "link", "add", "br0", "type", "bridge")
        sh("ip", "-n", self.ns("lan"), "link", "set", "br0", "up")
        hosts = "127.0.0.1 localhost\n::1 localhost\n" + "".join(
            "%s %s\n" % (ip, " ".join(names)) for ip, names in NAMES.items())
        addresses = {"srv": SERVERS} | {name: [ip] for name, ip in CLIENTS.items()}
        for i, (name, ips) in enumerate(addresses.items()):
            port = "p-" + name
            sh("ip", "link", "add", port, "netns", self.ns("lan"), "type", "veth", "peer", "name", "eth0", "netns",
               self.ns(name))
            sh("ip", "-n", self.ns(name), "link", "set", "eth0", "address", "02:00:5e:00:53:%02x" % (i + 1))
            for ip in ips:
                sh("ip", "-n", self.ns(name), "addr", "add", ip + "/24", "dev", "eth0")
            last = ips[0].rsplit(".", 1)[1]
            sh("ip", "-n", self.ns(name), "-6", "addr", "add", "fd20::%s/64" % last, "dev", "eth0", "nodad")
            sh("ip", "-n", self.ns("lan"), "link", "set", port, "master", "br0", "up")
            sh("ip", "-n", self.ns(name), "link", "set", "eth0", "up")
            for where, device in ((name, "eth0"), ("lan", port)):
                for feature in ("rx", "tx", "sg", "tso", "gso", "gro"):
                    with contextlib.suppress(subprocess.CalledProcessError):
                        self.run_in(where, "ethtool", "-K", device, feature, "off")
            etc = pathlib.Path("/etc/netns") / self.ns(name)
            etc.mkdir(parents=True, exist_ok=True)
            (etc / "hosts").write_text(hosts)
        time.sleep(1)

    @contextlib.contextmanager
    def resolver(self, address):
        """Has all clients ask a name server, and no hosts file."""
        etc = [pathlib.Path("/etc/netns") / self.ns(name) for name in CLIENTS]
        hosts = (etc[0] / "hosts").read_text()
        for folder in etc:
            (folder / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
            (folder / "resolv.conf").write_text("nameserver %s\n" % address)
        try:
            yield
        finally:
            for folder in etc:
                (folder / "hosts").write_text(hosts)
                (folder / "resolv.conf").unlink()

    def __exit__(self, *_):
        self.stop_all()
        for name in (*CLIENTS, "srv", "lan"):
            subprocess.run(["ip", "netns", "del", self.ns(name)], capture_output=True)
            shutil.rmtree(pathlib.Path("/etc/netns") / self.ns(name), ignore_errors=True)

    def cmd(self, name, *cmd):
        return ["ip", "netns", "exec", self.ns(name), *(str(c) for c in cmd)]

    def run_in(self, name, *cmd, timeout=90, check=True, **kwargs):
        """Runs a command in a namespace to its end."""
        done = subprocess.run(self.cmd(name, *cmd), capture_output=True, text=True, timeout=timeout, **kwargs)
        if check and done.returncode:
            raise subprocess.CalledProcessError(done.returncode, cmd, done.stdout, done.stderr)
        return done

    def start(self, name, *cmd, out=None, **kwargs):
        """Starts a command in a namespace; `stop_all` ends it."""
        sink = open(out, "ab") if out else subprocess.DEVNULL
        p = subprocess.Popen(self.cmd(name, *cmd), stdout=sink, stderr=sink, stdin=subprocess.DEVNULL,
                             start_new_session=True, **kwargs)
        self.running.append(p)
        return p

    def stop(self, p, how=signal.SIGTERM, wait=5):
        if p in self.running:
            self.running.remove(p)
        for one in (how, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(p.pid, one)
            try:
                return p.wait(wait)
            except subprocess.TimeoutExpired:
                continue

    def stop_all(self):
        for p in list(reversed(self.running)):
            self.stop(p)

    def wait_port(self, port, ip="127.0.0.1", udp=False, seconds=20):
        """Waits until something in `srv` listens. Over the loopback device, which is not recorded."""
        end = time.monotonic() + seconds
        flag = "-Hlun" if udp else "-Hltn"
        while time.monotonic() < end:
            out = self.run_in("srv", "ss", flag, "sport = :%d" % port, check=False).stdout
            if out.strip():
                return
            time.sleep(0.1)
        raise TimeoutError("nothing listens on port %d" % port)

    @contextlib.contextmanager
    def tcpdump(self, path, expression="", snaplen=262144, nano=False):
        cmd = ["tcpdump", "-i", "eth0", "-U", "--immediate-mode", "-n", "-s", snaplen, "-B", "16384", "-w", path, "-Z", "root"]
        if nano:
            cmd.append("--time-stamp-precision=nano")
        log = str(path) + ".tcpdump"
        p = self.start("srv", *cmd, *([expression] if expression else []), out=log)
        end = time.monotonic() + 10
        while "listening on" not in pathlib.Path(log).read_text() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.2)
        yield
        time.sleep(1.2)
        self.stop(p, signal.SIGINT)
        said = pathlib.Path(log).read_text()
        pathlib.Path(log).unlink()
        if "0 packets dropped by kernel" not in said:
            raise RuntimeError("tcpdump lost packets: " + said)
