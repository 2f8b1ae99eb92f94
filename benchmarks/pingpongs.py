"""A ping-pong on each of two CPUs at once: ``python -m benchmarks.pingpongs TURNS``.

All that they share is the run that they are in. The script prints the mean of the seconds per turn.
"""

import os
import struct
import sys

from agent.overhead.pingpong import seconds_per_turn

RESULT = struct.Struct("=d")


def main() -> None:
    turns = int(sys.argv[1])
    cpus = sorted(os.sched_getaffinity(0))[-2:]
    source, target = os.pipe()
    players = [_play(cpu, turns, target) for cpu in cpus]
    for player in players:
        os.waitpid(player, 0)
    results = [RESULT.unpack(os.read(source, RESULT.size))[0] for _ in players]
    sys.stdout.write(f"{sum(results) / len(results)}\n")


def _play(cpu: int, turns: int, target: int) -> int:
    player = os.fork()
    if player == 0:
        os.sched_setaffinity(0, {cpu})
        os.write(target, RESULT.pack(seconds_per_turn(turns)))
        os._exit(0)
    return player


if __name__ == "__main__":
    main()
