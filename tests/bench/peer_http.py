"""A writer over plain HTTP, as switch.h describes it: peer_http.py SET DAEMON_PORT

One connection, kept; no retries of its own. 504 is the daemon's word for an outcome that nobody knows; a connection that is
lost in the middle leaves its caller as wise.
"""

import http.client
import json
import platform
import sys

from writing import go_on

TIMEOUT_S = 30
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


def main():
    if "--version" in sys.argv:
        print(f"Python {platform.python_version()}'s http.client")
        return
    key, port = sys.argv[1:]
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT_S)
    go_on(lambda number: ask(connection, json.dumps(["SADD", key, number])))


main()
