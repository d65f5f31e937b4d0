"""B6: uploads that drip, stall, go away, or are more than there is room for."""

import hashlib
import threading
import time

from connections import AT_ONCE_S
from report import attack

MIB = 1 << 20
ANNOUNCED = 32 * MIB


def head(length=ANNOUNCED):
    return f"POST /v1/images HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {length}\r\n\r\n".encode()


def drip(connections, stop):
    """Sends a byte a second on each, until `stop`."""
    while not stop.wait(1):
        for connection in connections:
            try:
                connection.send(b"x")
            except OSError:
                pass


def status_of(connection, timeout_s):
    connection.settimeout(timeout_s)
    try:
        return int(connection.recv(4096).split(b" ", 2)[1])
    except (OSError, IndexError):
        return None


@attack("b6-dripping-uploads")
def dripping_uploads(place, report):
    """64 uploads announce 32 MiB and drip."""
    with place.server() as server:
        began, stop = time.monotonic(), threading.Event()
        dripping = [server.open(head()) for _ in range(64)]
        thread = threading.Thread(target=drip, args=(dripping, stop))
        thread.start()
        try:
            slowest = 0
            for n in range(5):
                image = bytes([n]) * (8 * MIB)
                answer, took = server.timed("POST", "/v1/images", image)
                slowest = max(slowest, took)
                is_kept = answer.status == 201 and answer.json["sha256"] == hashlib.sha256(image).hexdigest()
                report.check(is_kept, f"an honest upload is answered {answer.status}")
            report.figure("slowest honest upload of 8 MiB beside them", f"{slowest:.2f} s")
            report.check(slowest < 5, f"an honest upload takes {slowest:.1f} s")
            statuses = {status_of(connection, 30) for connection in dripping}
            report.figure("they are ended", f"after {time.monotonic() - began:.0f} s with {statuses}")
            report.check(statuses == {408}, f"uploads that drip are answered {statuses}")
        finally:
            stop.set()
            thread.join()


@attack("b6-share-of-the-room")
def share_of_the_room(place, report):
    """One address sends as much as it may, and stalls."""
    settings = {"server.max_upload_bytes": MIB, "server.max_body_bytes": 4 * MIB}
    with place.server(settings) as server:
        greedy = [server.open(head(MIB) + b"x" * (MIB - 10)) for _ in range(3)]
        time.sleep(1)
        answer, took = server.timed("POST", "/v1/images", b"y" * MIB)
        report.figure("a fourth upload of that address", f"{answer.status} after {took:.1f} s")
        report.check(answer.status == 503, f"it is answered {answer.status}")
        report.check(bool(answer.headers.get("retry-after")), "the refusal has no Retry-After")
        report.check(1 < took < 2 + AT_ONCE_S, f"it is refused after {took:.1f} s")
        other, took = server.timed("POST", "/v1/images", b"y" * MIB, source="127.0.0.2")
        report.figure("an upload of another address", f"{other.status} after {took:.2f} s")
        report.check(other.status == 201 and took < AT_ONCE_S, "another address has no room")
        statuses = {status_of(connection, 40) for connection in greedy}
        report.check(statuses == {408}, f"uploads that stall are answered {statuses}")
        again = server.call("POST", "/v1/images", b"y" * MIB)
        report.check(again.status == 201, f"after them an upload is answered {again.status}")


@attack("b6-gone-clients")
def gone_clients(place, report):
    """Clients go away amid 200 uploads."""
    with place.server({"server.max_upload_bytes": 4 * MIB, "server.max_body_bytes": 16 * MIB}) as server:
        for _ in range(40):
            held = [server.open(head(4 * MIB) + b"x" * MIB) for _ in range(5)]
            for connection in held:
                connection.close()
        staged = lambda: [path for path in server.open_paths() if "/uploads/" in path]
        deadline = time.monotonic() + 10
        while staged() and time.monotonic() < deadline:
            time.sleep(0.1)
        report.check(not staged(), f"{len(staged())} files are still open")
        folder = server.data_dir / "uploads"
        left = list(folder.iterdir()) if folder.is_dir() else []
        report.figure("files that are left behind", len(left) + len(staged()))
        report.check(not left, f"files are left behind: {left[:3]}")
        answer = server.call("POST", "/v1/images", b"y" * (4 * MIB))
        report.check(answer.status == 201, f"after them an upload is answered {answer.status}")
        images = [path for path in (server.data_dir / "images").rglob("*") if path.is_file()]
        report.check(len(images) == 1, f"{len(images)} images are kept, and one was sent whole")


@attack("b6-no-images")
def no_images(place, report):
    """Uploads that are no images."""
    with place.server() as server:
        form = {"content-type": "multipart/form-data; boundary=x"}
        for what, body, headers, wanted in [
            ("no bytes", b"", {}, 422),
            ("a form", b"--x\r\n\r\nbytes\r\n--x--", form, 415),
            ("more than the limit", b"x" * (ANNOUNCED + 1), {}, 413),
        ]:
            answer = server.call("POST", "/v1/images", body, headers)
            report.figure(what, answer.status)
            report.check(answer.status == wanted, f"{what}: {answer.status} where {wanted} is right")
