"""A spike through a real fleet, seen by a real Prometheus: python3 spike.py FLOTA

Starts `FLOTA up` with our two models and a Prometheus that scrapes it, submits drawn images, some of them
broken, and asks Prometheus the questions that docs/OPERATIONS.md answers. `promtool` reads what is scraped.
"""

import http.server
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

PROJECT = Path(__file__).parents[2]
MODELS = ("image-quality", "embedded-text")
IMAGES = sorted((PROJECT / "examples" / "images").iterdir())
ROUNDS = 5
# Scrapes per second make rates over seconds; a fleet is scraped every 15 s.
WINDOW = "30s"
PATIENCE_SECONDS = 120


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes every callback."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def main(flota):
    with tempfile.TemporaryDirectory() as folder, Fleet(flota, Path(folder)) as fleet:
        receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        submit(fleet, f"http://127.0.0.1:{receiver.server_port}/")
        questions(fleet)
        for address in fleet.scraped:
            lint(address)
    print("a real Prometheus answers all six questions, and promtool has nothing to say")


class Fleet:
    """`flota up` and the Prometheus that scrapes it."""

    def __init__(self, flota, folder):
        self.flota, self.folder, self.children = flota, folder, []

    def __enter__(self):
        workers = [free_port(), free_port()]
        self.api = f"127.0.0.1:{free_port()}"
        options = ["--data-dir", self.folder / "data", "--listen", self.api]
        settings = [f"worker.listen=127.0.0.1:{min(workers)}", "network.allow=[\"127.0.0.0/8\"]"]
        for setting in settings:
            options += ["--set", setting]
        log = open(self.folder / "fleet.log", "w")
        models = ["--models", ",".join(MODELS)]
        self.start([self.flota, "up", *models, *map(str, options)], log, stdin=subprocess.PIPE)
        self.wait("the fleet to be ready", lambda: len(self.alive()) == len(MODELS))
        listens = re.findall(r"worker ready on http://([0-9.:]+)", self.log())
        self.scraped = [self.api, *listens]
        if len(listens) != len(MODELS):
            raise SystemExit(f"{len(listens)} workers say where their metrics are:\n{self.log()}")
        config = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [
                {"job_name": "flota", "static_configs": [{"targets": self.scraped}]}
            ],
        }
        (self.folder / "prometheus.yml").write_text(json.dumps(config))
        self.prometheus = f"127.0.0.1:{free_port()}"
        self.start(
            [
                "prometheus",
                f"--config.file={self.folder}/prometheus.yml",
                f"--storage.tsdb.path={self.folder}/tsdb",
                f"--web.listen-address={self.prometheus}",
            ],
            open(self.folder / "prometheus.log", "w"),
        )
        self.wait("Prometheus to scrape", lambda: self.value("sum(up)") == len(self.scraped))
        return self

    def start(self, command, log, **options):
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, **options)
        self.children.append(child)

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.terminate()
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()

    def log(self):
        return (self.folder / "fleet.log").read_text()

    def alive(self):
        models = call(f"http://{self.api}/v1/models")["models"]
        return [model for model in models if model["workers_alive"] > 0]

    def value(self, query):
        """The sum of what `query` gives, None where it gives nothing."""
        query = urllib.parse.urlencode({"query": query})
        answer = call(f"http://{self.prometheus}/api/v1/query?{query}")
        values = [float(sample["value"][1]) for sample in answer["data"]["result"]]
        return sum(values) if values else None

    def wait(self, what, holds):
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                if holds():
                    return
            except OSError:
                pass
            if any(child.poll() is not None for child in self.children):
                break
            time.sleep(0.5)
        raise SystemExit(f"waited in vain for {what}:\n{self.log()}")


def submit(fleet, callback):
    """Each image anew in each round, one of them broken, and all of it called back."""
    for number in range(ROUNDS):
        images = []
        for image in IMAGES:
            # Bytes after the end of an image change its digest, so that nothing is cached.
            content = image.read_bytes() + number.to_bytes(4, "big")
            images.append({"url": call(f"http://{fleet.api}/v1/images", content)["url"]})
        broken = b"not an image, number %d" % number
        images.append({"url": call(f"http://{fleet.api}/v1/images", broken)["url"]})
        request = {"images": images, "models": list(MODELS), "callback": {"url": callback}}
        call(f"http://{fleet.api}/v1/requests", json.dumps(request).encode(), "application/json")


def questions(fleet):
    task_count = ROUNDS * (len(IMAGES) + 1) * len(MODELS)
    ended = "sum(flota_outcomes_total)"
    fleet.wait("all outcomes", lambda: fleet.value(ended) == task_count)
    fleet.wait("all callbacks", lambda: fleet.value("flota_callbacks_pending") == 0)
    quantile = "histogram_quantile(0.95, sum by (le) (rate({}_bucket[%s])))" % WINDOW
    answers = {
        "1. does work wait, and is it done as fast as it comes?": [
            ("sum(flota_backlog_tasks)", lambda n: n == 0),
            (
                f"max(max_over_time(flota_backlog_service_per_second[{WINDOW}]))",
                lambda n: n > 0,
            ),
            ('sum(flota_queue_messages{state="ready"})', lambda n: n == 0),
            (f"sum(increase(flota_tasks_accepted_total[{WINDOW}]))", lambda n: n > 0),
            (f"sum(increase(flota_outcomes_total[{WINDOW}]))", lambda n: n > 0),
        ],
        "2. how long do tasks and requests take?": [
            (quantile.format("flota_task_seconds"), lambda n: 0 < n < PATIENCE_SECONDS),
            (quantile.format("flota_request_seconds"), lambda n: 0 < n < PATIENCE_SECONDS),
            ("sum(flota_request_seconds_count)", lambda n: n == ROUNDS),
        ],
        "3. which stage holds them up?": [
            ("max(flota_worker_stage_utilization)", lambda n: 0 <= n <= 1),
            ('sum(flota_task_stage_seconds_count{stage="infer"})', lambda n: n > 0),
        ],
        "4. what fails, and why?": [
            (
                'sum(flota_outcomes_total{outcome="failed",code="DECODE_UNSUPPORTED"})',
                lambda n: n == ROUNDS * len(MODELS),
            ),
            ("flota_dead_letters_open", lambda n: n == 0),
        ],
        "5. do clients hear of it?": [
            ('sum(flota_callbacks_total{result="delivered"})', lambda n: n == ROUNDS),
            ('sum(flota_callbacks_total{result="failed"})', lambda n: n == 0),
            (quantile.format("flota_callback_seconds"), lambda n: 0 <= n < PATIENCE_SECONDS),
        ],
        "6. is everything alive?": [
            ("min(flota_workers_alive)", lambda n: n == 1),
            ("count(up == 0) or vector(0)", lambda n: n == 0),
            ("count(flota_build_info)", lambda n: n == len(fleet.scraped)),
        ],
    }
    for question, queries in answers.items():
        print(question)
        for query, is_right in queries:
            value = fleet.value(query)
            print(f"   {value:>10.6g}  {query}" if value is not None else f"   nothing  {query}")
            if value is None or not is_right(value):
                raise SystemExit(f"that is wrong:\n{fleet.log()}")


def lint(address):
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        text = answer.read()
    said = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    findings = (said.stdout + said.stderr).decode()
    if said.returncode or findings.strip():
        raise SystemExit(f"promtool on http://{address}/metrics:\n{findings}")


def call(url, body=None, content_type="application/octet-stream"):
    request = urllib.request.Request(url, body, {"content-type": content_type})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main(sys.argv[1])
