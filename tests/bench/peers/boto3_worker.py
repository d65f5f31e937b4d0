"""A consumer that looks at the images itself, told by variables what it serves."""

import os

import look
from consume import consume


def main():
    way = os.environ["PEER_WAY"]
    looker = look.looker(way, os.environ["PEER_MODEL"])
    consume(way == "plain", lambda files: [looker.look(file) for file in files])


if __name__ == "__main__":
    main()
