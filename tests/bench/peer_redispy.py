"""A writer on redis-py, as switch.h describes it: peer_redispy.py MASTER SET SENTINEL_PORT...

Time-outs are those that redis-py's documentation shows for Sentinel. An error is answered with the next write.
"""

import sys

import redis
from redis.sentinel import Sentinel

from writing import go_on

TIMEOUT_S = 0.1


def fill(server, key):
    def add(number):
        try:
            server.sadd(key, number)
            return "ok"
        except redis.RedisError:
            return "error"

    go_on(add)


def main():
    if "--version" in sys.argv:
        print(redis.__version__)
        return
    name, key, *ports = sys.argv[1:]
    sentinel = Sentinel([("127.0.0.1", int(port)) for port in ports], socket_timeout=TIMEOUT_S)
    fill(sentinel.master_for(name, socket_timeout=TIMEOUT_S), key)


if __name__ == "__main__":
    main()
