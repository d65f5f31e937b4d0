"""A and B7: hosts that are away, silent, slow, or close connections without saying so.

Each attack is a function of a place and a report. The runner beside this file brings both; alone,

    python3 tests/siege/ways.py [--binary PATH] [NAME ...]

brings its own. Hosts are addresses of 127.0.0.0/8: attackers on 127.0.0.1, honest ones on 127.0.0.2.
"""

import contextlib
import json
import os
import socket
import struct
import threading
import time
import zlib

try:
    from report import attack as registered
except ImportError:
    registered = None

ALONE = []


def attack(name):
    """Names an attack, and registers it with the runner where that is there."""

    def register(run):
        ALONE.append((name, run))
        return registered(name)(run) if registered else run

    return register


MODEL = "mean-color"
ATTACKER, HONEST = "127.0.0.1", "127.0.0.2"
# What the image, or the callback, of an honest client may take, in seconds, on a busy machine.
SOON_S = 4.0


def png(color, side=8):
    """A picture of one colour, three numbers of 0 to 255."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes(color) * side) * side
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def ok(body, more=""):
    return f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body


class Host:
    """A server of plain sockets: `answer` gets a request's number and path, and what it returns is sent;
    nothing is sent where it returns nothing, and the connection is closed where it returns ``b""``."""

    def __init__(self, address, answer):
        self.answer, self.lock = answer, threading.Lock()
        self.requests, self.open, self.most_open = [], 0, 0
        self.listener = socket.create_server((address, 0), backlog=512)
        self.url = f"http://{address}:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        with self.lock:
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        with contextlib.suppress(OSError), connection:
            while request := read_request(connection):
                with self.lock:
                    number = len(self.requests)
                    self.requests.append((time.monotonic(), request))
                answer = self.answer(number, request.split(b" ")[1].decode())
                if answer == b"":
                    break
                if answer is None:
                    # Until the other side leaves.
                    while connection.recv(4096):
                        pass
                    break
                connection.sendall(answer)
        with self.lock:
            self.open -= 1

    def close(self):
        self.listener.close()


def read_request(connection):
    """A whole request; nothing where the other side left."""
    request = b""
    while b"\r\n\r\n" not in request:
        some = connection.recv(65536)
        if not some:
            return b""
        request += some
    head, body = request.split(b"\r\n\r\n", 1)
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0]) - len(body) if lengths else 0
    while missing > 0:
        some = connection.recv(65536)
        if not some:
            return b""
        missing, request = missing - len(some), request + some
    return request


def submit(server, urls, callback=None, wait_s=0):
    """A request's answer; with `wait_s`, that of the finished request."""
    body = {"images": [{"url": url} for url in urls], "models": [MODEL]}
    if callback:
        body["callback"] = {"url": callback}
    headers = {"content-type": "application/json"}
    if wait_s:
        headers["prefer"] = f"wait={wait_s}"
    return server.call("POST", "/v1/requests", json.dumps(body), headers, timeout=wait_s + 30).json


def finished(server, request, deadline_s):
    """The request once it is finished, or as it stands when the time is up."""
    deadline = time.monotonic() + deadline_s
    while True:
        found = server.call("GET", f"/v1/requests/{request['id']}?wait=5", timeout=40).json
        if found["terminal"] or time.monotonic() > deadline:
            return found


@attack("a1-host-away")
def host_away(place, report):
    """An image server is away for a while amid images: 15 s and 600, or 60 s and 2,000 with SIEGE_FULL=1."""
    away_s, request_count, most_asked = (60, 10, 200) if os.environ.get("SIEGE_FULL") else (15, 3, 60)
    image_count = 200 * request_count
    away_until = time.monotonic() + 3600
    image = png((200, 30, 30))

    def answer(number, path):
        if time.monotonic() < away_until:
            return b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n"
        return ok(image)

    host = Host(ATTACKER, answer)
    with place.server() as server:
        server.start_worker()
        away_until = time.monotonic() + away_s
        requests = [submit(server, [f"{host.url}/{n}/{i}" for i in range(200)]) for n in range(request_count)]
        ended = [finished(server, request, 300) for request in requests]
        counts = {how: sum(one["counts"].get(how, 0) for one in ended) for how in ["succeeded", "failed"]}
        asked_away = sum(at < away_until for at, _ in host.requests)
        report.figure("images that succeeded, failed", f"{counts['succeeded']}, {counts['failed']} of {image_count}")
        report.figure("requests while it was away", asked_away)
        report.check(counts == {"succeeded": image_count, "failed": 0}, f"not all images came: {counts}")
        report.check(asked_away < most_asked, f"{asked_away} requests to a host that was away")
    host.close()


@attack("a2-silent-host")
def silent_host(place, report):
    """200 images lie on a host that accepts and is silent, beside the images of another client."""
    silent = Host(ATTACKER, lambda number, path: None)
    honest = Host(HONEST, lambda number, path: ok(png((number % 256, 99, 7))))
    with place.server() as server:
        server.start_worker()
        submit(server, [f"{honest.url}/warm"], wait_s=30)
        submit(server, [f"{silent.url}/{n}" for n in range(200)])
        slowest = 0
        for n in range(10):
            began = time.monotonic()
            done = submit(server, [f"{honest.url}/{n}"], wait_s=60)
            slowest = max(slowest, time.monotonic() - began)
            report.check(done["status"] == "succeeded", f"an honest image ended as {done['status']}")
            time.sleep(1)
        report.figure("slowest honest image", f"{slowest:.2f} s")
        report.figure("connections to the silent host at once", silent.most_open)
        report.check(slowest < SOON_S, f"an honest image takes {slowest:.1f} s")
        report.check(silent.most_open <= 4, f"{silent.most_open} of 16 fetches at one silent host")
    silent.close()
    honest.close()


@attack("a2-dripping-bodies")
def dripping_bodies(place, report):
    """100 images come in endless chunks of one byte, or after endless interim answers."""
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 200_000
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 200_000
    flooding = Host(ATTACKER, lambda number, path: chunked if number % 2 else interim)
    honest = Host(HONEST, lambda number, path: ok(png((number % 256, 99, 8))))
    with place.server() as server:
        worker = server.start_worker()
        submit(server, [f"{honest.url}/warm"], wait_s=30)
        before = cpu_s(worker.pid)
        request = submit(server, [f"{flooding.url}/{n}" for n in range(100)])
        began = time.monotonic()
        done = submit(server, [f"{honest.url}/a"], wait_s=60)
        took = time.monotonic() - began
        ended = finished(server, request, 60)
        spent = cpu_s(worker.pid) - before
        report.figure("honest image meanwhile", f"{took:.2f} s")
        report.figure("processor time for 100 such images", f"{spent:.1f} s")
        report.check(done["status"] == "succeeded" and took < SOON_S, f"an honest image takes {took:.1f} s")
        report.check(ended["counts"]["failed"] == 100, f"they are tried on and on: {ended['counts']}")
    flooding.close()
    honest.close()


@attack("a3-closed-unsaid")
def closed_unsaid(place, report):
    """An image server closes connections after some answers, without saying so."""

    def serve():
        seen = {}

        def answer(number, path):
            # Each connection has a thread of its own.
            me = threading.get_ident()
            seen[me] = seen.get(me, 0) + 1
            if seen[me] > 3:
                seen.pop(me)
                return b""
            if path.startswith("/from"):
                return f"HTTP/1.1 302 Found\r\nlocation: /to{path[5:]}\r\ncontent-length: 0\r\n\r\n".encode()
            return ok(png((number % 256, number // 256, 9)))

        return answer

    host = Host(ATTACKER, serve())
    with place.server() as server:
        server.start_worker()
        request = submit(server, [f"{host.url}/from{n}" for n in range(200)])
        ended = finished(server, request, 60)
        outcomes = server.call("GET", f"/v1/requests/{request['id']}").json["outcomes"]
        again = sum(outcome["attempts"] > 1 for outcome in outcomes)
        report.figure("images that failed, or were charged an attempt", f"{ended['counts']['failed']}, {again}")
        report.check(ended["counts"]["succeeded"] == 200, f"not all images came: {ended['counts']}")
        report.check(again == 0, "an attempt was charged for a connection that was closed")
    host.close()


@attack("b7-slow-receivers")
def slow_receivers(place, report):
    """150 receivers on the ports of one host never answer, beside a quick one on another."""
    slow = [Host(ATTACKER, lambda number, path: None) for _ in range(150)]
    quick = Host(HONEST, lambda number, path: ok(b""))
    image = Host(HONEST, lambda number, path: ok(png((1, 2, 3))))
    with place.server() as server:
        server.start_worker()
        submit(server, [f"{image.url}/a"], callback=f"{quick.url}/warm", wait_s=30)
        for receiver in slow:
            submit(server, [f"{image.url}/a"], callback=f"{receiver.url}/hook")
        slowest = 0
        for n in range(10):
            began = time.monotonic()
            submit(server, [f"{image.url}/a"], callback=f"{quick.url}/{n}", wait_s=60)
            while not any(f"/{n} ".encode() in request for _, request in quick.requests):
                if time.monotonic() - began > 60:
                    break
                time.sleep(0.02)
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.5)
        report.figure("slowest from submission to callback", f"{slowest:.2f} s")
        report.figure("slow receivers that were called at once", sum(host.open for host in slow))
        report.check(slowest < SOON_S, f"an honest callback takes {slowest:.1f} s")
    for host in [*slow, quick, image]:
        host.close()


@attack("b7-answer-without-body")
def answer_without_body(place, report):
    """A receiver answers 200 and never sends the body that it announced."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nshort"
    receiver = Host(HONEST, lambda number, path: head)
    image = Host(HONEST, lambda number, path: ok(png((3, 2, 1))))
    with place.server() as server:
        server.start_worker()
        done = submit(server, [f"{image.url}/a"], callback=f"{receiver.url}/hook", wait_s=30)
        deadline = time.monotonic() + 30
        state = "pending"
        while state == "pending" and time.monotonic() < deadline:
            time.sleep(0.2)
            callbacks = server.call("GET", f"/v1/requests/{done['id']}").json["callbacks"]
            state = callbacks[0]["state"] if callbacks else state
        report.figure("state of the callback, posts", f"{state}, {len(receiver.requests)}")
        report.check(state == "delivered", f"it is {state}")
        report.check(len(receiver.requests) == 1, f"it was posted {len(receiver.requests)} times")
    receiver.close()
    image.close()


def cpu_s(pid):
    """Processor time of a process, in seconds."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def run_alone():
    """The attacks of this file without the runner."""
    import argparse
    import pathlib
    import sys

    import ways_alone

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, help="the flota to attack")
    parser.add_argument("names", nargs="*", metavar="NAME", help="attacks, or beginnings of their names")
    options = parser.parse_args()
    failed = 0
    for name, run in ALONE:
        if options.names and not name.startswith(tuple(options.names)):
            continue
        print(f"{name}: {run.__doc__}", flush=True)
        report = ways_alone.Report()
        run(ways_alone.Place(options.binary), report)
        failed += bool(report.failures)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    run_alone()
