#!/usr/bin/env python3
"""Records the captures of `pcaps/` again, with real SDKs, in network namespaces.

    sudo ./record.py                      every capture
    sudo ./record.py --only 'py130-*'     those whose name matches
    ./record.py --list

Needs root (ip netns), Python 3.11, Node 20, cargo, tcpdump, tshark, iproute2,
ethtool, nginx, tinyproxy, caddy, openssl, named, dig, curl. SDKs are installed at the versions
pinned in `requirements/`, `*/package-lock.json` and `rmcp/Cargo.lock`, into
`--work`.
"""

import argparse
import fnmatch
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "lib"))

import truth as truth_lib  # noqa: E402
from lab import Lab  # noqa: E402

COLUMNS = ["file", "label", "transport", "http_version", "server", "host_or_sni", "path", "protocol_version",
           "sessions", "methods", "tools", "client", "keylog", "notes"]


class Install:
    """Environments, made once and kept in the work folder."""

    def __init__(self, work):
        self.work = work

    def python(self, name):
        home = self.work / "venv" / name
        wanted = (HERE / "requirements" / (name + ".txt")).read_text()
        stamp = home / "installed.txt"
        if not stamp.exists() or stamp.read_text() != wanted:
            subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
            subprocess.run([home / "bin" / "pip", "install", "-q", "-r",
                            HERE / "requirements" / (name + ".txt")], check=True)
            stamp.write_text(wanted)
        return home / "bin" / "python"

    def node(self, name):
        home = self.work / "node" / name
        wanted = (HERE / name / "package-lock.json").read_text()
        stamp = home / "installed.json"
        home.mkdir(parents=True, exist_ok=True)
        for file in (HERE / name).iterdir():
            if file.is_file():
                shutil.copy(file, home)
        shutil.copy(HERE / "lib" / "node_log.mjs", home)
        if not stamp.exists() or stamp.read_text() != wanted:
            subprocess.run(["npm", "ci", "--no-fund", "--no-audit", "--ignore-scripts"], cwd=home, check=True,
                           stdout=subprocess.DEVNULL)
            stamp.write_text(wanted)
        return home

    def rust(self):
        target = self.work / "rmcp-target"
        subprocess.run(["nice", "cargo", "build", "-q", "--locked", "--release", "--manifest-path",
                        HERE / "rmcp" / "Cargo.toml", "--target-dir", target], check=True)
        return target / "release"

    def certificate(self):
        home = self.work / "tls"
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "cert.pem").exists():
            names = "DNS:books.corp.test,DNS:tools.corp.test,DNS:legacy.corp.test,DNS:mcp.stripe.com,IP:10.20.0.10"
            run = lambda *c: subprocess.run(["openssl", *c], check=True, capture_output=True, cwd=home)  # noqa: E731
            run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
                "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/O=Recorder/CN=Recorder test CA",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")
            run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem",
                "-out", "req.pem", "-subj", "/CN=books.corp.test")
            (home / "ext").write_text("subjectAltName=%s\nbasicConstraints=CA:FALSE\n" % names)
            run("x509", "-req", "-in", "req.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                "3650", "-extfile", "ext", "-out", "leaf.pem")
            (home / "cert.pem").write_text((home / "leaf.pem").read_text() + (home / "ca.pem").read_text())
        return home


class Scene:
    """What a capture's function works with: where to write, how to start servers and clients."""

    def __init__(self, lab, install, out, name):
        self.lab, self.install, self.out, self.name = lab, install, out, name
        self.tmp = install.work / "run" / name
        shutil.rmtree(self.tmp, ignore_errors=True)
        self.tmp.mkdir(parents=True)
        self.logs = []
        self.row = {}
        self.filename = name + ".pcap"
        self.dump_options = {}
        self.by_server = {}
        self.base = None

    def log(self, name="server", server=None):
        path = self.tmp / (name + ".jsonl")
        path.touch()
        self.logs.append(path)
        if server:
            self.by_server[server] = path
        return path

    # servers

    def serve(self, *cmd, port, env=None, udp=False, ns="srv", cwd=None):
        env = os.environ | {"PYTHONPATH": "%s:%s" % (HERE / "py", HERE / "lib"), "PYTHONUNBUFFERED": "1"} | (env or {})
        p = self.lab.start(ns, *cmd, out=self.tmp / "servers.out", env=env, cwd=cwd or self.tmp)
        self.lab.wait_port(port, udp=udp)
        return p

    def py1(self, *args, sdk="py130", port=8000, server=None, log="server", env=None):
        return self.serve(self.install.python(sdk), HERE / "py" / "server1.py", "--port", port, "--log",
                          self.log(log, server), *args, port=port, env=env)

    def py2(self, *args, port=8000, server=None, log="server"):
        return self.serve(self.install.python("py23"), HERE / "py" / "server2.py", "--port", port, "--log",
                          self.log(log, server), *args, port=port)

    def python(self, file, *args, port=8000, env="look", log=None, udp=False):
        logs = ["--log", self.log(log)] if log else []
        return self.serve(self.install.python(env), HERE / file, "--port", port, *logs, *args, port=port, udp=udp)

    def node(self, folder, file, *args, port=8000, log="server", server=None, env=None, args_port=True):
        home = self.install.node(folder)
        options = ["--import", home / "node_log.mjs"] if log else []
        env = dict(env or {})
        if log:
            env["RECORD_LOG"] = str(self.log(log, server))
        where = ["--port", port] if args_port else []
        return self.serve("node", *options, home / file, *args, *where, port=port, env=env, cwd=home)

    # clients

    def run(self, *cmd, ns="c1", env=None, check=True, timeout=90, cwd=None):
        env = os.environ | {"PYTHONPATH": "%s:%s" % (HERE / "py", HERE / "lib")} | (env or {})
        done = self.lab.run_in(ns, *cmd, env=env, check=False, timeout=timeout, cwd=cwd or self.tmp)
        with open(self.tmp / "clients.out", "a", encoding="utf-8") as f:
            f.write(done.stdout + done.stderr)
        if check and done.returncode:
            raise RuntimeError("%s: %s" % (cmd, (done.stdout + done.stderr)[-1500:]))
        return done

    def cli1(self, url, *args, sdk="py130", **kwargs):
        return self.run(self.install.python(sdk), HERE / "py" / "client1.py", url, *args, **kwargs)

    def cli2(self, url, *args, **kwargs):
        return self.run(self.install.python("py23"), HERE / "py" / "client2.py", url, *args, **kwargs)

    def clin(self, folder, file, *args, **kwargs):
        home = self.install.node(folder)
        return self.run("node", home / file, *args, cwd=home, **kwargs)

    def py(self, file, *args, env="look", **kwargs):
        return self.run(self.install.python(env), HERE / file, *args, **kwargs)

    def background(self, *cmd, ns="c1", env=None):
        env = os.environ | {"PYTHONPATH": "%s:%s" % (HERE / "py", HERE / "lib")} | (env or {})
        return self.lab.start(ns, *cmd, out=self.tmp / "clients.out", env=env, cwd=self.tmp)

    # the recording itself

    def record(self, expression="", **kwargs):
        return self.lab.tcpdump(self.out / self.filename, expression, **kwargs)

    def label(self, label, transport, server="10.20.0.10:8000", path="/mcp", version="-", sessions=1, http="1.1",
              host=None, keylog="-", notes="-"):
        self.row |= {"label": label, "transport": transport, "http_version": http, "server": server,
                     "host_or_sni": host or server, "path": path, "protocol_version": version, "sessions": sessions,
                     "keylog": keylog, "notes": notes}

    def mcp(self, transport, **kwargs):
        self.label("mcp", transport, **kwargs)

    def derive(self, base, notes):
        """The row and the truth of another capture, for one made from it."""
        row = read_labels(self.out / "LABELS.tsv")[base]
        self.row = row | {"notes": "derived from %s: %s" % (base, notes)}
        self.base = base

    def look_alike(self, transport, **kwargs):
        self.label("not_mcp", transport, **({"sessions": 0} | kwargs))


def finish(scene):
    """Writes the truth file; gives the row of LABELS.tsv."""
    row = dict.fromkeys(COLUMNS, "-") | scene.row | {"file": scene.filename}
    if row["label"] == "not_mcp":
        return row
    if scene.base:
        shutil.copy(scene.out / "truth" / (scene.base + ".truth.json"),
                    scene.out / "truth" / (scene.filename + ".truth.json"))
        return row
    t = truth_lib.summarise(truth_lib.load(scene.logs))
    if scene.by_server:
        t["by_server"] = {server: truth_lib.summarise(truth_lib.load([path]))
                          for server, path in scene.by_server.items()}
    (scene.out / "truth").mkdir(exist_ok=True)
    (scene.out / "truth" / (scene.filename + ".truth.json")).write_text(
        json.dumps(t, indent=1, ensure_ascii=True) + "\n")
    row["methods"], row["tools"] = truth_lib.methods_cell(t), truth_lib.tools_cell(t)
    row["client"] = "client %s; server %s" % (",".join(t["clients"]), ",".join(t["servers"]))
    if row["protocol_version"] == "-":
        row["protocol_version"] = ",".join(
            dict.fromkeys(t["protocol_negotiated"] + t["protocol_meta"])) or "-"
    return row


def read_labels(path):
    rows = {}
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        for line in lines[1:]:
            cells = line.split("\t")
            rows[cells[0]] = dict(zip(COLUMNS, cells))
    return rows


def write_labels(path, rows):
    order = {"q": 0, "p": 1, "h": 2, "n": 3}
    names = sorted(rows, key=lambda n: (order.get(n[0], 9), n))
    path.write_text("\t".join(COLUMNS) + "\n" + "".join(
        "\t".join(str(rows[n][c]) for c in COLUMNS) + "\n" for n in names), encoding="utf-8")


def attempt(lab, install, out, name, function):
    """Records one capture; whether it worked."""
    began = time.monotonic()
    scene = Scene(lab, install, out, name)
    try:
        function(scene)
        lab.stop_all()
        row = finish(scene)
        if row["notes"] == "-":
            row["notes"] = (function.__doc__ or "-").strip()
        rows = read_labels(out / "LABELS.tsv")
        rows[row["file"]] = row
        write_labels(out / "LABELS.tsv", rows)
        size = (out / scene.filename).stat().st_size
        print("%-44s %8d bytes %5.1f s" % (scene.filename, size, time.monotonic() - began), flush=True)
        return True
    except Exception as e:
        print("%-44s FAILED: %s" % (name, str(e)[-600:]), flush=True)
        traceback.print_exc(limit=-2)
        return False
    finally:
        lab.stop_all()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", action="append", help="a capture's name; * and ? match")
    p.add_argument("--out", type=pathlib.Path, default=HERE.parent)
    p.add_argument("--work", type=pathlib.Path, default=HERE / ".work", help="SDKs, logs, keys")
    p.add_argument("--list", action="store_true")
    args = p.parse_args()
    from captures import CAPTURES

    chosen = {n: f for n, f in CAPTURES.items()
              if not args.only or any(fnmatch.fnmatch(n, pattern) for pattern in args.only)}
    if args.list:
        for name, function in chosen.items():
            print("%-40s %s" % (name, (function.__doc__ or "").strip().partition("\n")[0]))
        return 0
    if os.geteuid():
        p.error("needs root for network namespaces")
    args.out, args.work = args.out.resolve(), args.work.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    args.work.mkdir(parents=True, exist_ok=True)
    install = Install(args.work)
    failed = []
    with Lab() as lab:
        for name, function in chosen.items():
            # A second chance: some stacks stall now and then (httpx and hypercorn over h2c with many streams).
            if not any(attempt(lab, install, args.out, name, function) for _ in range(2)):
                failed.append(name)
    if failed:
        print("failed:", " ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
