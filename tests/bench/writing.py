"""The loop of a writer, as switch.h describes it."""

import sys
import time

PAUSE_S = 0.002


def go_on(add):
    """Add 1, 2, 3, ... for ever. What add(NUMBER) returns is what became of it: "ok", "error" or "unknown"."""
    number = 0
    while True:
        number += 1
        began = time.monotonic_ns()
        word = add(number)
        sys.stdout.write(f"{word} {number} {began} {time.monotonic_ns()}\n")
        sys.stdout.flush()
        time.sleep(PAUSE_S)
