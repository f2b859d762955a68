"""A writer over plain HTTP, as switch.h describes it: peer_http.py SET DAEMON_PORT

One connection, kept; no retries of its own. 504 is the daemon's word for an outcome that nobody knows; a connection that is
lost in the middle leaves its caller as wise.
"""

import http.client
import json
import platform
import sys
import time

TIMEOUT_S = 30
PAUSE_S = 0.002
WORDS = {200: "ok", 504: "unknown"}


def ask(connection, body):
    try:
        connection.request("POST", "/redis", body)
        answer = connection.getresponse()
        answer.read()
        return WORDS.get(answer.status, "error")
    except ConnectionRefusedError:
        return "error"
    except (OSError, http.client.HTTPException):
        connection.close()
        return "unknown"


def write(connection, key, number):
    body = json.dumps(["SADD", key, number])
    began = time.monotonic_ns()
    word = ask(connection, body)
    return f"{word} {number} {began} {time.monotonic_ns()}\n"


def main():
    if "--version" in sys.argv:
        print(f"Python {platform.python_version()}'s http.client")
        return
    key, port = sys.argv[1:]
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT_S)
    number = 0
    while True:
        number += 1
        sys.stdout.write(write(connection, key, number))
        sys.stdout.flush()
        time.sleep(PAUSE_S)


main()
