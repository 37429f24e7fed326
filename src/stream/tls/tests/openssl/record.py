#!/usr/bin/env python3
"""Records conversations of OpenSSL with itself, for what rustls does not speak.

Needs Python 3.11, OpenSSL 3.0 and its command line tool. Writes one text file
for each conversation beside this script:

    > hex   bytes from client to server
    < hex   bytes from server to client
    k line  a line of the key log
    c hex   application data of the client
    s hex   application data of the server
"""

import pathlib
import socket
import ssl
import subprocess
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).parent
REQUEST = b"POST /mcp HTTP/1.1\r\nhost: openssl.test\r\n\r\n" + bytes(range(256))
RESPONSE = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(reversed(range(256))) * 3

# Name, cipher suite, and whether MACs are made after encrypting.
CASES = [
    ("rsa-aes128-sha", "AES128-SHA", True),
    ("rsa-aes256-sha", "AES256-SHA", False),
    ("rsa-aes256-sha256", "AES256-SHA256", True),
    ("ecdhe-aes128-sha256", "ECDHE-RSA-AES128-SHA256", False),
    ("ecdhe-aes256-sha384", "ECDHE-RSA-AES256-SHA384", True),
    ("ecdhe-aes256-sha384-mac-first", "ECDHE-RSA-AES256-SHA384", False),
    ("rsa-aes128-gcm", "AES128-GCM-SHA256", True),
    ("rsa-aes256-gcm", "AES256-GCM-SHA384", True),
    ("ecdhe-chacha20", "ECDHE-RSA-CHACHA20-POLY1305", True),
    ("rsa-aes128-ccm", "AES128-CCM", True),
]


def certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-days", "36500",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
         "-subj", "/CN=openssl.test"],
        check=True, capture_output=True)


def contexts(folder, suite, encrypt_then_mac):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_ciphers("ALL:@SECLEVEL=0")
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    for context in (server, client):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"{suite}:@SECLEVEL=0")
        if not encrypt_then_mac:
            context.options |= 0x80000  # SSL_OP_NO_ENCRYPT_THEN_MAC
    client.keylog_filename = str(folder / "keys.log")
    return client, server


class Talk:
    def __init__(self, client, server):
        self.lines = []
        self.bios = [ssl.MemoryBIO() for _ in range(4)]
        to_client, from_client, to_server, from_server = self.bios
        self.client = client.wrap_bio(to_client, from_client, server_hostname="openssl.test")
        self.server = server.wrap_bio(to_server, from_server, server_side=True)

    def move(self):
        to_client, from_client, to_server, from_server = self.bios
        moved = False
        for mark, source, target in ((">", from_client, to_server), ("<", from_server, to_client)):
            if data := source.read():
                self.lines.append(f"{mark} {data.hex()}")
                target.write(data)
                moved = True
        return moved

    def until_done(self, *steps):
        waiting = list(steps)
        while waiting:
            for step in list(waiting):
                try:
                    step()
                    waiting.remove(step)
                except (ssl.SSLWantReadError, ssl.SSLSyscallError):
                    pass
                self.move()
        while self.move():
            pass

    def send(self, mark, sender, receiver, data):
        sender.write(data)
        self.move()
        received = b""
        while len(received) < len(data):
            received += receiver.read(65536)
        assert received == data
        self.lines.append(f"{mark} {data.hex()}")


def in_memory(folder, suite, encrypt_then_mac):
    client, server = contexts(folder, suite, encrypt_then_mac)
    talk = Talk(client, server)
    talk.until_done(talk.client.do_handshake, talk.server.do_handshake)
    talk.send("c", talk.client, talk.server, REQUEST)
    talk.send("s", talk.server, talk.client, RESPONSE)
    talk.until_done(talk.client.unwrap, talk.server.unwrap)
    return talk.lines


def renegotiated(folder):
    """`openssl s_client` asks for another handshake when it reads `R`."""
    subprocess.run(["touch", folder / "keys.log"], check=True)
    common = ["-cipher", "ECDHE-RSA-AES256-SHA:@SECLEVEL=0", "-tls1_2"]
    server = subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:44330", "-cert", folder / "cert.pem",
         "-key", folder / "key.pem", "-client_renegotiation", "-quiet", *common],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    time.sleep(1)
    lines, lock = [], threading.Lock()
    listener = socket.create_server(("127.0.0.1", 44331))

    def pump(mark, source, target):
        while data := source.recv(65536):
            with lock:
                lines.append(f"{mark} {data.hex()}")
            target.sendall(data)

    def proxy():
        client, _ = listener.accept()
        upstream = socket.create_connection(("127.0.0.1", 44330))
        threading.Thread(target=pump, args=("<", upstream, client), daemon=True).start()
        pump(">", client, upstream)

    threading.Thread(target=proxy, daemon=True).start()
    client = subprocess.Popen(
        ["openssl", "s_client", "-connect", "127.0.0.1:44331", "-servername", "openssl.test",
         "-keylogfile", folder / "keys.log", *common],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def say(process, mark, data):
        time.sleep(0.7)
        process.stdin.write(data)
        process.stdin.flush()
        if mark:
            time.sleep(0.3)
            with lock:
                lines.append(f"{mark} {data.hex()}")

    say(client, "c", b"before\n")
    say(server, "s", b"answer before\n")
    say(client, None, b"R\n")
    say(client, "c", b"after\n")
    say(server, "s", b"answer after\n")
    time.sleep(0.7)
    client.kill()
    server.kill()
    return lines


def main():
    for name, suite, encrypt_then_mac in CASES + [("renegotiation", None, None)]:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            certificate(folder)
            if suite is None:
                lines = renegotiated(folder)
            else:
                lines = in_memory(folder, suite, encrypt_then_mac)
            keys = (folder / "keys.log").read_text().splitlines()
            lines += [f"k {line}" for line in keys if not line.startswith("#")]
            (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
