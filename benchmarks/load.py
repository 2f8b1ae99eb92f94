"""``python -m benchmarks.load RATE SECONDS``: about RATE run-queue waits per second on one CPU.

It plays ping-pong in bursts. Each turn is two switches, and so two waits; it sleeps for the rest of
each 10 ms period. Pin it to one CPU, or the two processes never wait for each other. Prints the
number of waits that it caused.
"""

import os
import sys
import time

PERIOD = 0.01


def make_waits(rate: int, seconds: float) -> int:
    """Return the number of waits, which is lower if this machine cannot reach the rate."""
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
        # Do not make up for a missed period, because that would raise the rate.
        due = max(due + PERIOD, now)
        time.sleep(max(0.0, due - time.monotonic()))
    os.close(to_child[1])
    os.wait()
    return made


if __name__ == "__main__":
    print(make_waits(int(sys.argv[1]), float(sys.argv[2])))
