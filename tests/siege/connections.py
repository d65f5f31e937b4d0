"""B5: connections that are held open."""

import selectors
import time

from report import attack
from server import allow_files

# What a client that is served at once may take, in seconds, on a busy machine.
AT_ONCE_S = 2.0
# After so long without progress the server ends a connection, with some seconds for a busy machine.
GIVEN_UP_S = 45


def get(path):
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()


def check_honest(server, report, what, source="127.0.0.1"):
    """Sees that others are served at once."""
    slowest = 0
    for path in ["/healthz", "/readyz", "/metrics", "/v1/models"]:
        answer, took = server.timed("GET", path, source=source)
        slowest = max(slowest, took)
        report.check(answer.status == 200, f"{path} answers {answer.status} {what}")
    began = time.monotonic()
    submitted = server.submit(source=source)
    slowest = max(slowest, time.monotonic() - began)
    report.check(submitted.status == 202, f"a request is answered {submitted.status} {what}")
    report.figure(f"slowest honest call {what}", f"{slowest:.3f} s")
    report.check(slowest < AT_ONCE_S, f"an honest call takes {slowest:.1f} s {what}")


@attack("b5-never-reading")
def never_reading(place, report):
    """512 connections ask for much and never read."""
    with place.server() as server:
        server.start_worker()
        calls = get("/openapi.json") * 200
        held = []
        for _ in range(512):
            connection = server.open()
            connection.setblocking(False)
            try:
                connection.send(calls)
            except BlockingIOError:
                pass
            held.append(connection)
        time.sleep(2)
        check_honest(server, report, "beside 512 clients that do not read")
        sockets = lambda: sum(path.startswith("socket:") for path in server.open_paths())
        report.figure("sockets of the server while they are held", sockets())
        deadline = time.monotonic() + GIVEN_UP_S
        while sockets() > 100 and time.monotonic() < deadline:
            time.sleep(0.5)
        report.figure("sockets of the server after 30 s without progress", sockets())
        report.check(sockets() <= 100, "clients that do not read are not given up")
        for connection in held:
            connection.close()


@attack("b5-over-the-limit")
def over_the_limit(place, report):
    """64 silent connections take every place."""
    settings = {"server.max_connections": 64, "server.max_connections_per_peer": 48}
    with place.server(settings) as server:
        server.start_worker()
        held = [server.open(b"GET / HT") for _ in range(48)]
        time.sleep(0.5)
        answer, took = server.timed("GET", "/v1/models")
        retry_after = answer.headers.get("retry-after")
        report.figure("a client beyond the share of its address", f"{answer.status}, Retry-After: {retry_after}")
        report.check(answer.status == 503 and answer.code == "OVERLOADED", f"it is answered {answer.status}")
        report.check(bool(retry_after), "the refusal has no Retry-After")
        report.check(took < AT_ONCE_S, f"the refusal takes {took:.1f} s")
        upload = server.call("POST", "/v1/images", b"x" * (4 << 20))
        report.check(upload.status == 503, f"an upload beyond the limit is answered {upload.status}")
        check_honest(server, report, "from another address", source="127.0.0.2")
        held += [server.open(b"", source="127.0.0.2") for _ in range(16)]
        time.sleep(0.5)
        for path in ["/healthz", "/readyz", "/metrics"]:
            answer, took = server.timed("GET", path, source="127.0.0.3")
            report.check(answer.status == 200, f"{path} answers {answer.status} while all places are taken")
            report.check(took < AT_ONCE_S, f"{path} takes {took:.1f} s while all places are taken")
        silent = [server.open(b"", source="127.0.0.4") for _ in range(256)]
        answer, took = server.timed("GET", "/healthz", source="127.0.0.3")
        report.check(answer.status == 200 and took < AT_ONCE_S, "silent clients hold the reserve as well")
        began = time.monotonic()
        while server.call("GET", "/v1/models").status != 200 and time.monotonic() - began < GIVEN_UP_S:
            time.sleep(0.5)
        report.figure("silent clients are given up after another", f"{time.monotonic() - began:.0f} s")
        check_honest(server, report, "after the silent ones")
        for connection in held + silent:
            connection.close()


@attack("b5-idle-waits")
def idle_waits(place, report):
    """10,000 connections wait for one request."""
    count = allow_files(10_000)
    with place.server() as server:
        server.stop(server.start_worker())
        request = server.submit().json["id"]
        call = get(f"/v1/requests/{request}?wait=60")
        before_kib = server.memory_kib()
        began = time.monotonic()
        held = [server.open(call) for _ in range(count)]
        time.sleep(3)
        kib = (server.memory_kib() - before_kib) / count
        report.figure("calls that wait", f"{count}, opened in {time.monotonic() - began - 3:.1f} s")
        report.figure("memory of each", f"{kib:.1f} KiB")
        report.check(kib < 64, f"a call that waits costs {kib:.0f} KiB")
        cpu, at = server.cpu_s(), time.monotonic()
        check_honest(server, report, f"beside {count} that wait")
        time.sleep(5)
        report.figure("cores in use meanwhile", f"{(server.cpu_s() - cpu) / (time.monotonic() - at):.2f}")
        early = count_readable(held, 0)
        report.check(early == 0, f"{early} calls were answered or cut off early")
        server.start_worker()
        answered = count_readable(held, 60)
        report.figure("answered when the request was finished, or after 60 s", answered)
        report.check(answered == count, f"{count - answered} of {count} were never answered")
        statuses = {connection.recv(12) for connection in held}
        report.check(statuses == {b"HTTP/1.1 200"}, f"they were answered {statuses}")
        for connection in held:
            connection.close()


@attack("b5-waits-beyond-the-bound")
def waits_beyond_the_bound(place, report):
    """More calls wait than may wait."""
    with place.server({"server.max_waits": 8}) as server:
        server.stop(server.start_worker())
        request = server.submit().json["id"]
        held = [server.open(get(f"/v1/requests/{request}?wait=60")) for _ in range(8)]
        time.sleep(0.5)
        answer, took = server.timed("GET", f"/v1/requests/{request}?wait=60")
        report.figure("the ninth of eight", f"{answer.status} {answer.json['status']} after {took:.3f} s")
        report.check(answer.status == 200 and took < AT_ONCE_S, "it is not answered at once with the state")
        began = time.monotonic()
        submitted = server.submit(wait_s=60)
        took = time.monotonic() - began
        report.check(submitted.status == 202 and took < AT_ONCE_S, f"a submission waits {took:.1f} s")
        report.check("preference-applied" not in submitted.headers, "a wait is called applied that was not")
        for connection in held:
            connection.close()


def count_readable(connections, within_s):
    """How many of them have something to read within so many seconds."""
    deadline, ready = time.monotonic() + within_s, 0
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        while selector.get_map():
            events = selector.select(max(0, deadline - time.monotonic()))
            for key, _ in events:
                selector.unregister(key.fileobj)
            ready += len(events)
            if not events:
                break
    return ready
