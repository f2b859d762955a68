"""A plain loop of redis-py's Sentinel client, beside the daemon, for comparison.

master_for.py NAME STOP-FILE SENTINEL-PORT...

Adds ids of its own to the set `plain` until STOP-FILE is there, then says how many additions were acknowledged, how many of
those the master of then does not have, and how many raised an error: "acknowledged N lost M errors E".
"""

import os
import sys
import time

import redis
from redis.sentinel import Sentinel

name, stop_file, ports = sys.argv[1], sys.argv[2], sys.argv[3:]
sentinel = Sentinel([("127.0.0.1", int(port)) for port in ports], socket_timeout=1)
master = sentinel.master_for(name, socket_timeout=5)
acknowledged, errors, serial = set(), 0, 0
while not os.path.exists(stop_file):
    serial += 1
    try:
        master.sadd("plain", serial)
        acknowledged.add(serial)
    except redis.RedisError:
        errors += 1
        time.sleep(0.01)
    time.sleep(0.0005)

for attempt in range(50):
    try:
        there = {int(member) for member in sentinel.master_for(name, socket_timeout=5).smembers("plain")}
        print(f"acknowledged {len(acknowledged)} lost {len(acknowledged - there)} errors {errors}")
        break
    except redis.RedisError:
        time.sleep(0.1)
