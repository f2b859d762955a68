"""A writer on redis-py that knows one address only, as switch.h describes it: peer_forward.py SET PORT

An error is answered with the next write, on a new connection where the old one has ended.
"""

import sys

import redis

from peer_redispy import fill

TIMEOUT_S = 5


def main():
    if "--version" in sys.argv:
        print("redis-py", redis.__version__)
        return
    key, port = sys.argv[1:]
    fill(redis.Redis("127.0.0.1", int(port), socket_timeout=TIMEOUT_S), key)


main()
