"""A model server, told by variables what it serves: Mosec in the two stages of its own example, one that
decodes and one that infers in batches of what has arrived.
"""

import io
import os

import numpy as np
from mosec import Server, Worker

import look

# As in Mosec's example; the wait for a batch to fill is its default of 10 ms.
BATCH = 16


class Decode(Worker):
    def deserialize(self, data):
        return data

    def forward(self, data):
        return look.pixels(io.BytesIO(data), True)


class Infer(Worker):
    def __init__(self):
        self.looker = look.Tuned(os.environ["PEER_MODEL"])

    def forward(self, data):
        return self.looker.infer(look.tensor_of(np.stack(data)))


def main():
    processes = int(os.environ["PEER_PROCESSES"])
    server = Server()
    server.append_worker(Decode, num=processes)
    server.append_worker(Infer, num=processes, max_batch_size=BATCH)
    server.run()


if __name__ == "__main__":
    main()
