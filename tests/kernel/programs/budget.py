"""A command that knows where its wall time goes, and writes what it knows to a file.

    budget.py WAY FILE

It is executed by the test, so that the wall time of a run is its own, with the interpreter's start
and end. The test has the kernel's account of its CPU time from outside.
"""

import ctypes
import json
import os
import random
import signal
import sys
import threading
import time

COMPUTING, SLEEPING, SYNCS = 0.3, 0.2, 500
LOOP = 0.4
THREADS, ROUNDS = 6, 40
STOPPED = 1.0
TURNS = 2000
EXIT_THREAD = {"x86_64": 60, "aarch64": 93}[os.uname().machine]


def spin(seconds):
    """Use this much CPU time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def ms(began, ended):
    return (ended - began) / 1e6


def timed(action, *arguments):
    began = time.monotonic_ns()
    action(*arguments)
    return ms(began, time.monotonic_ns())


def sync(path):
    with open(path, "wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(b".")
            os.fsync(file.fileno())


def phases(path):
    spin(COMPUTING)
    slept = timed(time.sleep, SLEEPING)
    synced = timed(sync, path + ".data")
    os.unlink(path + ".data")
    return {"wanted_ms": SLEEPING * 1000, "slept_ms": slept, "synced_ms": synced}


def loop(path):
    spin(LOOP)
    return {}


def stop(path):
    """Be stopped, until the test continues us."""
    return {"stopped_ms": timed(os.kill, os.getpid(), signal.SIGSTOP)}


def pool(path):
    """Threads that sleep and compute at random, and note when each slept."""
    slept = [[] for _ in range(THREADS)]
    numbers = random.Random(1)
    plans = [
        [(numbers.uniform(0.002, 0.02), numbers.uniform(0.0, 0.002)) for _ in range(ROUNDS)]
        for _ in range(THREADS)
    ]

    def work(plan, log):
        for sleep, compute in plan:
            began = time.monotonic_ns()
            time.sleep(sleep)
            log.append((began, time.monotonic_ns()))
            spin(compute)

    threads = [threading.Thread(target=work, args=of) for of in zip(plans, slept, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "all_slept_ms": all_at_once(slept) / 1e6,
        "sleeps": THREADS * ROUNDS,
        "threads": THREADS,
        "rounds": ROUNDS,
        "slept_ms": [sum(ms(*times) for times in log) for log in slept],
    }


def all_at_once(logs):
    """Return for how long all slept that had not ended yet: the threads' own view of it."""
    began, ended = max(log[0][0] for log in logs), max(log[-1][1] for log in logs)
    edges = []
    for log in logs:
        # awake between the end of each sleep and the beginning of the next one
        edges += [(end, 1) for _, end in log[:-1]]
        edges += [(begin, -1) for begin, _ in log[1:]]
    total, awake_now, since = 0, 0, began
    for moment, change in sorted(edges):
        if awake_now == 0 and moment > since:
            total += moment - since
        awake_now += change
        since = max(since, moment)
    return total + max(ended - since, 0)


def across(path):
    """Pass a byte back and forth between two processes, each on its CPU."""
    there, back = os.pipe(), os.pipe()
    first, second = sorted(os.sched_getaffinity(0))
    child = os.fork()
    if child == 0:
        os.sched_setaffinity(0, {second})
        for _ in range(TURNS):
            os.write(back[1], os.read(there[0], 1))
        os._exit(0)
    os.sched_setaffinity(0, {first})
    for _ in range(TURNS):
        os.write(there[1], b".")
        os.read(back[0], 1)
    os.waitpid(child, 0)
    return {}


def leader(path):
    """Have the first thread end before the last one."""

    def last():
        time.sleep(SLEEPING)
        write(path, {})
        os._exit(0)

    threading.Thread(target=last).start()
    ctypes.CDLL(None).syscall(EXIT_THREAD, 0)


def write(path, facts):
    with open(path, "w") as file:
        json.dump(facts, file)


def main():
    way, path = sys.argv[1:]
    write(path, globals()[way](path))


main()
