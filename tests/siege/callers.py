"""B8: who may call, and who may read what is stored."""

import json
import os
import stat
import subprocess

from report import attack
from server import MODEL

JSON = "application/json"


def send_raw(server, lines, body=b""):
    """The status of a call whose head is sent as it is."""
    head = "".join(f"{line}\r\n" for line in [*lines, f"content-length: {len(body)}", "connection: close"])
    with server.open(head.encode() + b"\r\n" + body) as connection:
        return int(connection.recv(4096).split(b" ", 2)[1])


@attack("b8-web-pages")
def web_pages(place, report):
    """A web page reaches for the API."""
    with place.server() as server:
        server.start_worker()
        body = json.dumps({"images": [{"url": "https://images.example/1.jpg"}], "models": [MODEL]}).encode()
        own = f"127.0.0.1:{server.port}"
        post, get = "POST /v1/requests HTTP/1.1", "GET /v1/models HTTP/1.1"
        for wanted, first, headers in [
            (202, post, [f"host: {own}", f"content-type: {JSON}"]),
            (202, post, [f"host: localhost:{server.port}", f"content-type: {JSON}; charset=utf-8"]),
            (202, post, [f"host: {own}", f"content-type: {JSON}", f"origin: http://{own}"]),
            (403, post, [f"host: {own}", f"content-type: {JSON}", "origin: https://evil.example"]),
            (403, post, [f"host: {own}", f"content-type: {JSON}", "origin: null"]),
            (403, post, [f"host: {own}", f"content-type: {JSON}", "sec-fetch-site: cross-site"]),
            (415, post, [f"host: {own}", "content-type: text/plain"]),
            (415, post, [f"host: {own}", "content-type: application/x-www-form-urlencoded"]),
            (415, post, [f"host: {own}"]),
            (415, post, [f"host: {own}", f"content-type: {JSON}", "content-encoding: gzip"]),
            (400, post, [f"host: {own}", f"content-type: {JSON}", "idempotency-key: a", "idempotency-key: b"]),
            (200, get, [f"host: {own}"]),
            (421, get, ["host: evil.example"]),
            (421, get, [f"host: evil.example:{server.port}"]),
            (421, get, ["host: 127.0.0.1.evil.example"]),
            (400, get, []),
            (400, get, [f"host: {own}", f"host: {own}"]),
            (421, "GET http://evil.example/v1/models HTTP/1.1", [f"host: {own}"]),
            (421, "GET /metrics HTTP/1.1", ["host: evil.example"]),
        ]:
            status = send_raw(server, [first, *headers], body if first == post else b"")
            report.check(status == wanted, f"{first} {headers}: {status} where {wanted} is right")
        for path in ["/v1/models", "/healthz", "/nowhere"]:
            headers = server.call("GET", path).headers
            report.check(headers.get("cache-control") == "no-store", f"{path} may be stored by caches")
            report.check(headers.get("x-content-type-options") == "nosniff", f"{path} may be sniffed")


@attack("b8-other-users")
def other_users(place, report):
    """Other users of the machine read the data folder and the command line."""
    with place.server() as server:
        server.start_worker()
        server.call("POST", "/v1/images", b"an image")
        server.submit()
        readable, count = [], 0
        for folder, _, files in os.walk(server.data_dir):
            for path in [folder, *(os.path.join(folder, name) for name in files)]:
                count += 1
                if stat.S_IMODE(os.stat(path).st_mode) & 0o077:
                    readable.append(path)
        report.figure("files and folders that others may read", f"{len(readable)} of {count}")
        report.check(count > 8 and not readable, f"others may read {readable[:5]}")
        secret = "whsec_" + "A" * 32
        arguments = [place.binary, "serve", "--set", f"notifier.secrets={secret}"]
        refused = subprocess.run(
            arguments, cwd=server.folder, env=server.environment, capture_output=True, timeout=60, text=True
        )
        report.check(refused.returncode != 0, "a secret is taken from the command line")
        report.check(secret not in refused.stderr, "a secret is printed")
