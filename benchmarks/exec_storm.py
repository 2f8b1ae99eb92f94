"""``python -m benchmarks.exec_storm N``: run N processes in sequence, each of which execs true.

Prints the seconds per process, from the spawn to the end of the wait.
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
