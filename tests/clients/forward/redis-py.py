"""redis-py with its ordinary options, six threads on one ConnectionPool. Arguments: write,news,pop PORT NAME."""
import json
import os
import sys
import threading
import time

import redis

modes, port, name = sys.argv[1].split(","), int(sys.argv[2]), sys.argv[3]
client = redis.Redis(connection_pool=redis.ConnectionPool(host="127.0.0.1", port=port, decode_responses=True))


def say(**what):
    os.write(1, (json.dumps(what) + "\n").encode())


def attempt(work):
    try:
        work()
    except redis.RedisError as error:
        say(failed=f"{type(error).__name__}: {error}")
        time.sleep(0.02)


def add(n):
    client.sadd(f"{name}:set", n)
    client.incr(f"{name}:count")


def pipe(n):
    with client.pipeline(transaction=False) as pipeline:
        for i in range(5):
            pipeline.sadd(f"{name}:set", f"{n}.{i}")
        pipeline.execute()


def swap(n):
    with client.pipeline() as pipeline:
        pipeline.watch(f"{name}:at")
        pipeline.get(f"{name}:at")
        pipeline.multi()
        pipeline.set(f"{name}:at", n)
        pipeline.rpush(f"{name}:log", n)
        pipeline.execute()


def push(n):
    client.rpush(f"{name}:queue", n)
    client.publish(f"{name}:news", n)


def step(kind, n):
    kind(n)
    say(did=kind.__name__, n=n)


def repeat(kind, n):
    while True:
        attempt(lambda: step(kind, n))
        n += 4
        time.sleep(0.04)


def write():
    for n, kind in enumerate((add, pipe, swap, push)):
        threading.Thread(target=repeat, args=(kind, n)).start()


def listen():
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:  # of no more use once its connection is lost
        pubsub.subscribe(f"{name}:news")
        for message in pubsub.listen():
            say(news=message["data"])


def news():
    while True:
        attempt(listen)


def pop():
    while True:
        attempt(lambda: say(popped=client.blpop(f"{name}:queue", 0)[1]))


for mode in modes:
    threading.Thread(target={"write": write, "news": news, "pop": pop}[mode]).start()
