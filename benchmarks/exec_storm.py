"""``python -m benchmarks.exec_storm N``: N processes, one after the other, each exec'ing true.

Prints the seconds of one, from spawning to having been waited for.
"""

import os
import sys
import time

TRUE = "/bin/true"


def seconds_per_exec(count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        os.waitpid(os.posix_spawn(TRUE, [TRUE], {}), 0)
    return (time.perf_counter() - began) / count


if __name__ == "__main__":
    print(seconds_per_exec(int(sys.argv[1])))
