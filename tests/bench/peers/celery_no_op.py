"""A Celery worker whose tasks have no work, told by variables what it serves."""

import os

from celery import Celery
from celery.signals import worker_process_init

import results

app = Celery("no-op", broker=os.environ["PEER_BROKER"], backend=os.environ["PEER_BACKEND"])
app.conf.broker_connection_retry_on_startup = True
state = {}


@worker_process_init.connect
def begin(**_):
    state["results"] = results.connect(os.environ["PEER_RESULTS"])


@app.task(name="nothing")
def nothing(_):
    """As it is without settings: taken off the queue before it begins, with a result in Redis."""


@app.task(name="look", acks_late=True, ignore_result=True)
def record(task):
    """Nothing is lost if a process dies: it is done when its result is recorded."""
    results.record(state["results"], task, [])
