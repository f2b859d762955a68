"""A writer on redis-py, as switch.h describes it: peer_redispy.py MASTER SET SENTINEL_PORT...

Time-outs are those that redis-py's documentation shows for Sentinel. An error is answered with the next write.
"""

import sys
import time

import redis
from redis.sentinel import Sentinel

TIMEOUT_S = 0.1
PAUSE_S = 0.002


def write(master, key, number):
    began = time.monotonic_ns()
    try:
        master.sadd(key, number)
        word = "ok"
    except redis.RedisError:
        word = "error"
    return f"{word} {number} {began} {time.monotonic_ns()}\n"


def main():
    if "--version" in sys.argv:
        print(redis.__version__)
        return
    name, key, *ports = sys.argv[1:]
    sentinel = Sentinel([("127.0.0.1", int(port)) for port in ports], socket_timeout=TIMEOUT_S)
    master = sentinel.master_for(name, socket_timeout=TIMEOUT_S)
    number = 0
    while True:
        number += 1
        sys.stdout.write(write(master, key, number))
        sys.stdout.flush()
        time.sleep(PAUSE_S)


main()
