"""``python -m benchmarks.load RATE SECONDS``: about RATE run-queue waits a second on one CPU.

A ping-pong in bursts: each turn is two switches, so two waits; what is left of each 10 ms is
slept. Pin it, or the two players never wait for each other. Prints the waits it made.
"""

import os
import sys
import time

PERIOD = 0.01


def make_waits(rate: int, seconds: float) -> int:
    """Returns the number made, fewer where this machine cannot go that fast."""
    to_child, from_child = os.pipe(), os.pipe()
    if os.fork() == 0:
        os.close(to_child[1])
        while os.read(to_child[0], 1):
            os.write(from_child[1], b".")
        os._exit(0)
    turns = max(1, round(rate * PERIOD / 2))
    made, began = 0, time.monotonic()
    due = began
    while (now := time.monotonic()) < began + seconds:
        for _ in range(turns):
            os.write(to_child[1], b".")
            os.read(from_child[0], 1)
        made += 2 * turns
        # A period that was missed is not made up for: that would be another rate.
        due = max(due + PERIOD, now)
        time.sleep(max(0.0, due - time.monotonic()))
    os.close(to_child[1])
    os.wait()
    return made


if __name__ == "__main__":
    print(make_waits(int(sys.argv[1]), float(sys.argv[2])))
