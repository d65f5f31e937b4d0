"""A Celery worker, told by variables what it serves."""

import os

from celery import Celery
from celery.signals import worker_process_init

import look
import results

app = Celery("peer", broker=os.environ["PEER_BROKER"])
app.conf.broker_connection_retry_on_startup = True
# A task is done when its result is recorded, as with a queue that redelivers; all else is as it is without
# settings, unless tuned.
app.conf.task_acks_late = True
if os.environ["PEER_WAY"] == "tuned":
    app.conf.worker_prefetch_multiplier = 16
state = {}


@worker_process_init.connect
def begin(**_):
    state["looker"] = look.looker(os.environ["PEER_WAY"], os.environ["PEER_MODEL"])
    state["results"] = results.connect(os.environ["PEER_RESULTS"])


@app.task(name="look")
def look_at(image):
    results.record(state["results"], image, state["looker"].look(image))
