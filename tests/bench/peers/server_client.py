"""A consumer that has a model server look at the images, told by variables where it is."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import urllib3

import consume


def main():
    url = os.environ["PEER_SERVER"]
    pool = urllib3.PoolManager(maxsize=consume.BATCH, retries=False)

    def look_at(file):
        answer = pool.request("POST", url, body=Path(file).read_bytes())
        assert answer.status == 200, answer.data
        return answer.json()

    with ThreadPoolExecutor(consume.BATCH) as threads:
        consume.consume(False, lambda files: list(threads.map(look_at, files)))


if __name__ == "__main__":
    main()
