"""A place and a report for `ways.py` where the runner is not there."""

import contextlib
import http.client
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time

PROJECT = pathlib.Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60
SETTINGS = {
    "FLOTA__ENGINE__AUTOTUNE_MS": "0",
    "FLOTA__ENGINE__KIND": "tract",
    "FLOTA__LOG__LEVEL": "warn",
    "FLOTA__NETWORK__ALLOW": "127.0.0.0/8",
    "FLOTA__QUEUE__POLL_WAIT_MS": "200",
}


class Report:
    def __init__(self):
        self.failures = []

    def figure(self, name, value):
        print(f"  {name}: {value}", flush=True)

    def check(self, holds, what):
        if not holds:
            self.failures.append(what)
            print(f"  !! {what}", flush=True)


class Answer:
    def __init__(self, response):
        self.status, self.body = response.status, response.read()

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    def __init__(self, binary, folder):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.binary, self.folder, self.processes = binary, folder, []
        address = {"FLOTA__DATA_DIR": folder + "/data", "FLOTA__SERVER__LISTEN": f"127.0.0.1:{self.port}"}
        self.environment = {**os.environ, **SETTINGS, **address}

    def run(self, *arguments):
        with open(f"{self.folder}/{arguments[0]}.log", "ab") as log:
            process = subprocess.Popen(
                [self.binary, *arguments], cwd=self.folder, env=self.environment, stderr=log,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )
        self.processes.append(process)
        return process

    def start_worker(self):
        worker = self.run("worker", str(PROJECT / "tests/models/mean-color"))
        self.until(lambda: any(m["workers_alive"] for m in self.call("GET", "/v1/models").json["models"]))
        return worker

    def until(self, is_met):
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if is_met():
                    return
            time.sleep(0.1)
        raise RuntimeError("the fleet did not start")

    def call(self, method, path, body=None, headers=None, timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            return Answer(connection.getresponse())


class Place:
    def __init__(self, binary):
        built = [PROJECT / "target/debug" / name for name in ["flota_under_test", "flota"]]
        self.binary = binary or next(path for path in built if path.is_file())

    @contextlib.contextmanager
    def server(self):
        with tempfile.TemporaryDirectory(prefix="flota-siege-") as folder:
            server = Server(self.binary, folder)
            try:
                server.run("serve")
                server.until(lambda: server.call("GET", "/readyz").status == 200)
                yield server
            finally:
                for process in server.processes:
                    process.kill()
                    process.wait()
