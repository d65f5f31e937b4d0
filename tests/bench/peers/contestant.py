"""What is measured: processes that one would have to run besides a cloud's own services."""

import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
READY_BOUND_S = 60
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(condition, what):
    deadline = time.monotonic() + READY_BOUND_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(0.05)


def answers(url):
    try:
        return urllib.request.urlopen(url).status == 200
    except OSError:
        return False


class Contestant:
    """Its `pids` name the processes whose CPU and memory count, with those of their children."""

    def __init__(self, work, model, processes):
        self.work, self.model, self.processes = work, model, processes
        self.children = []
        work.mkdir(parents=True)

    def spawn(self, *command, **variables):
        log = open(self.work / "log", "a")
        environment = {**os.environ, **CREDENTIALS, **{k: str(v) for k, v in variables.items()}}
        child = subprocess.Popen(
            [str(word) for word in command],
            env=environment,
            cwd=HERE,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self.children.append(child)
        return child

    def finish(self, *command, **variables):
        """Runs what ends by itself."""
        child = self.spawn(*command, **variables)
        self.children.remove(child)
        assert child.wait() == 0, f"{command} failed: {self.log()}"

    def pause(self):
        """Waits a moment, unless a process has ended that one waits for."""
        for child in self.children:
            assert child.poll() is None, f"{child.args} ended: {self.log()}"
        time.sleep(0.02)

    def log(self):
        return (self.work / "log").read_text()

    def pids(self):
        return [child.pid for child in self.children]

    def stop(self):
        for child in reversed(self.children):
            child.terminate()
            child.wait()

    def weights(self):
        return self.model / f"{self.model.name}.onnx"
