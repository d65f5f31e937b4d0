"""SQS, DynamoDB and S3 on loopback."""

import os
import subprocess

from contestant import HERE, answers, free_port, until

PROGRAM = HERE.parent.parent.parent / "crates/flota-platform/tests/emulator/emulator.py"


class Emulator:
    def __init__(self, python, work):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        variables = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "LOG_LEVEL": "WARNING"}
        variables |= {"MINISTACK_HOST": "127.0.0.1", "SERVICES": "sqs,dynamodb,s3"}
        variables |= {"HOME": str(work), "TMPDIR": str(work), "SFTP_ENABLED": "0"}
        self.child = subprocess.Popen(
            [python, PROGRAM],
            env={**os.environ, **variables, "IOT_MTLS_ENABLED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=open(work / "emulator.log", "w"),
        )
        until(lambda: answers(f"{self.url}/_ministack/health"), "the emulator")

    def stop(self):
        self.child.stdin.close()
        self.child.wait()
