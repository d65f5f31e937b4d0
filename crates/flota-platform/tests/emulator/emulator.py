"""Runs ministack for a test, until standard input closes.

Each line of standard input, an account's id and milliseconds since 1970, stops the clock that SQS
has for this account there; it is answered with a line. Without one the account has the real time.
"""

import os
import shutil
import socket
import sys
import tempfile
import threading
import time

# Answers go to the real standard output; whatever ministack prints goes to standard error.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

# Everything that ministack keeps in files, which is gone when it ends.
folder = tempfile.mkdtemp(prefix="flota-emulator-")
tempfile.tempdir = None
for variable in ("HOME", "TMPDIR", "S3_DATA_DIR", "STATE_DIR"):
    os.environ[variable] = folder

from ministack import app  # noqa: E402
from ministack.core.responses import get_account_id  # noqa: E402
from ministack.services import sqs  # noqa: E402

clocks = {}


class Clock:
    """The module `time` as SQS sees it."""

    def time(self):
        return clocks.get(get_account_id()) or time.time()

    def __getattr__(self, name):
        return getattr(time, name)


sqs.time = Clock()
extend = sqs._HANDLERS["ChangeMessageVisibilityBatch"]


def extend_in_flight(data, queue_url):
    """As AWS does, refuses what is not in flight any more; ministack would hide it again."""
    queue = sqs._get_q(data.get("QueueUrl", queue_url), "sqs:ChangeMessageVisibility")
    now = sqs.time.time()
    ended = {m["receipt_handle"] for m in queue["messages"] if m["visible_at"] <= now}
    entries = data["Entries"]
    late = [entry for entry in entries if entry["ReceiptHandle"] in ended]
    in_time = [entry for entry in entries if entry not in late]
    answer = {"Successful": [], "Failed": []}
    if in_time:
        answer = extend({**data, "Entries": in_time}, queue_url)
    for entry in late:
        failed = {"Id": entry["Id"], "Code": "MessageNotInflight", "SenderFault": True}
        answer["Failed"].append(failed)
    return answer


sqs._HANDLERS["ChangeMessageVisibilityBatch"] = extend_in_flight


def answer(line):
    answers.write(line + "\n")
    answers.flush()


def serve_the_test():
    address = (os.environ["BIND_HOST"], int(os.environ["GATEWAY_PORT"]))
    while True:
        try:
            socket.create_connection(address).close()
            break
        except OSError:
            time.sleep(0.02)
    answer("ready")
    for line in sys.stdin:
        account, milliseconds = line.split()
        # Half a millisecond, or the fraction could be rounded down to the one before.
        clocks[account] = (int(milliseconds) + 0.5) / 1000
        answer("set")
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


threading.Thread(target=serve_the_test, daemon=True).start()
app.main()
