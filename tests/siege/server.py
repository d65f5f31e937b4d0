"""The server under attack, with its data in a temporary folder, and plain calls to it."""

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import tempfile
import time

MODEL = "mean-color"
START_TIMEOUT_S = 60
SETTINGS = {
    "FLOTA__ENGINE__AUTOTUNE_MS": "0",
    "FLOTA__ENGINE__KIND": "tract",
    "FLOTA__LOG__LEVEL": "warn",
    "FLOTA__LOG__FORMAT": "human",
    "FLOTA__NETWORK__ALLOW": "127.0.0.0/8",
    "FLOTA__QUEUE__POLL_WAIT_MS": "200",
    "FLOTA__WORKER__DECODE_THREADS": "1",
    "FLOTA__WORKER__INFER_THREADS": "1",
}


@dataclasses.dataclass
class Place:
    """What is attacked: the program and a model that it serves."""

    binary: pathlib.Path
    model_dir: pathlib.Path

    @contextlib.contextmanager
    def server(self, settings=None):
        """A server of its own, which is ended with all that it started."""
        with tempfile.TemporaryDirectory(prefix="flota-siege-") as folder:
            server = Server(self, pathlib.Path(folder), settings or {})
            try:
                server.start()
                yield server
            finally:
                server.end()


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The stable code of a problem."""
        return self.json.get("code") if self.body[:1] == b"{" else None


class Server:
    def __init__(self, place, folder, settings):
        self.place, self.folder, self.processes = place, folder, []
        self.data_dir = folder / "data"
        self.port = free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FLOTA")},
            **SETTINGS,
            "FLOTA__DATA_DIR": str(self.data_dir),
            "FLOTA__SERVER__LISTEN": f"127.0.0.1:{self.port}",
            **{f"FLOTA__{name.upper().replace('.', '__')}": str(value) for name, value in settings.items()},
        }

    def start(self):
        self.process = self.run("serve")
        self.until(lambda: self.call("GET", "/readyz").status == 200, "the server to be ready")

    def run(self, *arguments):
        """Starts the program; what it says goes to a file of the folder."""
        log = open(self.folder / f"{arguments[0]}.log", "ab")
        process = subprocess.Popen(
            [self.place.binary, *arguments], cwd=self.folder, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
        )
        log.close()
        self.processes.append(process)
        return process

    def start_worker(self):
        worker = self.run("worker", str(self.place.model_dir))
        is_alive = lambda models: any(model["workers_alive"] for model in models)
        self.until(lambda: is_alive(self.call("GET", "/v1/models").json["models"]), "the worker")
        return worker

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()

    def until(self, is_met, what):
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if is_met():
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        logs = "\n".join(path.read_text() for path in self.folder.glob("*.log"))
        raise RuntimeError(f"waited in vain for {what}:\n{logs[-4000:]}")

    def call(self, method, path, body=None, headers=None, source="127.0.0.1", timeout=30):
        """One call on a connection of its own, from an address of this machine."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=timeout, source_address=(source, 0)
        )
        try:
            connection.request(method, path, body, headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def timed(self, *arguments, **named):
        """An answer, and how long it took in seconds."""
        began = time.monotonic()
        answer = self.call(*arguments, **named)
        return answer, time.monotonic() - began

    def submit(self, wait_s=0, **named):
        body = json.dumps({"images": [{"url": "http://127.0.0.1:9/none.jpg"}], "models": [MODEL]})
        headers = {"content-type": "application/json"}
        if wait_s:
            headers["prefer"] = f"wait={wait_s}"
        return self.call("POST", "/v1/requests", body, headers, **named)

    def open(self, sent=b"", source="127.0.0.1"):
        """A connection on which `sent` was sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), 30, source_address=(source, 0))
        connection.sendall(sent)
        return connection

    def memory_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_paths(self):
        """What its file descriptors lead to."""
        paths = []
        for descriptor in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                paths.append(os.readlink(descriptor))
        return paths


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def allow_files(count):
    """How many of `count` files this process may have open, its limit raised as far as it goes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        most = count + 1024
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return max(0, min(count, most - 256))
