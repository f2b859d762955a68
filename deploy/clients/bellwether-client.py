#!/usr/bin/env python3
"""Who is the master? Asked of bellwether with nothing but the standard library.

    bellwether-client.py [ask|wait|follow [URL [NAME]]]

`ask` prints the address once, `wait` follows it with long polls, `follow` with the stream of events.
"""
import http.client, json, random, sys, time, urllib.error, urllib.request

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy would cut what waits
SILENCE = 45  # seconds: over the 30 of a wait, and the 15 at which a silent stream sends a comment


def get(url, headers={}):
    """200, or 503 while there is no master; all else (a limit, a name that nobody knows yet) is an error."""
    try:
        return opener.open(urllib.request.Request(url, headers=headers), timeout=SILENCE)
    except urllib.error.HTTPError as answer:
        if answer.status == 503 and "X-Bellwether-Index" in answer.headers:
            return answer
        error = OSError(f"{answer.status} {answer.reason}")
        error.retry_after = int(answer.headers["Retry-After"] or 0)
        raise error from None


def wait(base, name, _):
    """Each answer comes when something about the master has changed, or the daemon was started again."""
    query = ""
    while True:
        with get(f"{base}/masters/{name}{query}") as answer:
            master, headers, last = json.load(answer), answer.headers, query
        yield master["address"] if answer.status == 200 else None
        query = f"?wait=30s&index={headers['X-Bellwether-Index']}&instance={headers['X-Bellwether-Instance']}"
        if query == last:  # nothing new, as when the daemon is about to stop: do not spin
            time.sleep(random.uniform(0, 1))


def follow(base, name, seen):
    """A stream that broke off goes on behind the last event that was seen."""
    with get(f"{base}/events?master={name}", seen) as stream:
        event = None
        for line in stream:
            field, _, value = line.decode().rstrip("\r\n").partition(": ")
            if field == "id":
                seen["Last-Event-ID"] = value
            elif field == "event":
                event = value
            elif field == "data" and event == "master":
                master = json.loads(value)
                yield master["address"] if master["state"] in ("ok", "unverified") else None
    raise OSError("the stream ended")


def forever(attempt, base, name):
    """Again and again, with jitter: all clients lose a daemon at the same moment."""
    failures, seen = 0, {}
    while True:
        began = time.monotonic()
        try:
            yield from attempt(base, name, seen)
        except (OSError, http.client.HTTPException, ValueError) as error:
            print(f"again soon: {error}", file=sys.stderr)
            failures = 0 if time.monotonic() - began > 5 else min(failures + 1, 5)
            time.sleep(getattr(error, "retry_after", 0) + random.uniform(0.05, 0.2 * 2**failures))


mode, base, name = (sys.argv[1:] + ["ask", "http://127.0.0.1:8380", "mymaster"][len(sys.argv) - 1 :])[:3]
if mode not in ("ask", "wait", "follow") or len(sys.argv) > 4:
    print("usage: bellwether-client.py [ask|wait|follow [URL [NAME]]]", file=sys.stderr)
    sys.exit(2)
current = None
for address in forever(follow if mode == "follow" else wait, base, name):  # None: there is no master now
    if address and address != current:
        print(address, flush=True)  # here your Redis client would connect anew
    current = address
    if address and mode == "ask":
        break
