"""A writer on redis-py that knows one address only, as switch.h describes it: peer_forward.py SET PORT

An error is answered with the next write, on a new connection where the old one has ended.
"""

import sys
import time

import redis

TIMEOUT_S = 5
PAUSE_S = 0.002


def write(server, key, number):
    began = time.monotonic_ns()
    try:
        server.sadd(key, number)
        word = "ok"
    except redis.RedisError:
        word = "error"
    return f"{word} {number} {began} {time.monotonic_ns()}\n"


def main():
    if "--version" in sys.argv:
        print("redis-py", redis.__version__)
        return
    key, port = sys.argv[1:]
    server = redis.Redis("127.0.0.1", int(port), socket_timeout=TIMEOUT_S)
    number = 0
    while True:
        number += 1
        sys.stdout.write(write(server, key, number))
        sys.stdout.flush()
        time.sleep(PAUSE_S)


main()
