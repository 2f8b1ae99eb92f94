"""A workload that grows a tree of tasks, each of which makes ``marks`` calls of a unique kind.

An order is JSON: how, marks, and the parameters of that way. The program reports the total number
of marks, and the pid that made them where a test needs it. A mark is a call of getpgid(2), which
the interpreter itself never makes.
"""

import ctypes
import json
import os
import platform
import sys
import threading
import time
from pathlib import Path

from protocol import say, wait

NS_LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
ATTEMPTS = 300
CLONE3, SIGCHLD = 435, 17
CLONE_INTO_CGROUP = 0x200000000
LIBC = ctypes.CDLL(None, use_errno=True)


def mark(count):
    for _ in range(count):
        os.getpgid(0)


def in_child(work, *arguments):
    child = os.fork()
    if child == 0:
        try:
            work(*arguments)
        finally:
            os._exit(0)
    return child


def gone(child):
    os.waitpid(child, 0)


def itself(order):
    mark(order["marks"])
    return 1


def child(order):
    gone(in_child(mark, order["marks"]))
    return 1


def shortly(order):
    """Start children that live for about a millisecond, one after the other."""

    def live():
        until = time.monotonic() + 0.001
        mark(order["marks"])
        while time.monotonic() < until:
            pass

    for _ in range(order["count"]):
        gone(in_child(live))
    return order["count"]


def run_to_their_end(workers):
    """Start threads, and return once the kernel has them no more.

    A thread can be joined as soon as it has left Python; its exit may come a little later.
    """
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    while any(os.path.exists(f"/proc/self/task/{worker.native_id}") for worker in workers):
        time.sleep(0.001)


def threads(order):
    workers = [threading.Thread(target=mark, args=(order["marks"],)) for _ in range(order["count"])]
    run_to_their_end(workers)
    return order["count"]


def forks_of_threads(order):
    """Fork each child from a different thread, none of which is the leader."""

    def work():
        gone(in_child(mark, order["marks"]))

    workers = [threading.Thread(target=work) for _ in range(order["count"])]
    run_to_their_end(workers)
    return order["count"]


def daemon(order):
    """Fork twice: the grandchild makes its marks after init or a subreaper has adopted it."""
    done, tell = os.pipe()
    middle = os.getpid()

    def grandchild():
        while os.getppid() == middle_pid:
            time.sleep(0.001)
        mark(order["marks"])
        os.write(tell, b".")

    def first_child():
        nonlocal middle_pid
        middle_pid = os.getpid()
        os.setsid()
        in_child(grandchild)

    middle_pid = middle
    gone(in_child(first_child))
    os.read(done, 1)
    os.close(done)
    os.close(tell)
    return 1


def storm(order):
    """Fork a tree that is two levels deep and ``count`` wide, all at once."""

    def branch():
        leaf = in_child(mark, order["marks"])
        mark(order["marks"])
        gone(leaf)

    branches = [in_child(branch) for _ in range(order["count"])]
    for each in branches:
        gone(each)
    return 2 * order["count"]


def exec_of_a_thread(order):
    """Exec from a thread, which takes over the leader's pid; the new program makes the marks."""
    path = os.path.abspath(__file__)
    command = [sys.executable, "-ES", path, "leaf", str(order["marks"])]

    def image():
        thread = threading.Thread(target=os.execv, args=(sys.executable, command))
        thread.start()
        thread.join()

    for _ in range(order["count"]):
        gone(in_child(image))
    return order["count"]


def die(order):
    """Start a child that exits, and report its pid, which is free again."""
    pid = in_child(mark, order["marks"])
    gone(pid)
    say(pid=pid)
    return 1


def reborn(order):
    """Fork a child with the requested pid."""

    def work():
        if os.getpid() == order["pid"]:
            mark(order["marks"])

    for _ in range(ATTEMPTS):
        NS_LAST_PID.write_text(str(order["pid"] - 1))
        pid = in_child(work)
        gone(pid)
        if pid == order["pid"]:
            return 1
    return 0


def into_cgroup(order):
    """Create a child directly in a cgroup, by clone3(2) with CLONE_INTO_CGROUP."""
    folder = os.open(order["folder"], os.O_RDONLY)
    arguments = (ctypes.c_uint64 * 11)(CLONE_INTO_CGROUP, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, folder)
    pid = LIBC.syscall(CLONE3, arguments, ctypes.sizeof(arguments))
    if pid == 0:
        mark(order["marks"])
        os._exit(0)
    gone(pid)
    os.close(folder)
    return 1


STANDING = []
CHAIN = []


def stand(order):
    """Start threads that stay, and make their marks on each ``again``."""
    for _ in range(order["count"]):
        begin, finished = threading.Semaphore(0), threading.Semaphore(0)

        def work(begin=begin, finished=finished):
            while True:
                begin.acquire()
                mark(order["marks"])
                finished.release()

        threading.Thread(target=work, daemon=True).start()
        STANDING.append((begin, finished))
    return 0


def again(order):
    for begin, _ in STANDING:
        begin.release()
    for _, finished in STANDING:
        finished.acquire()
    return len(STANDING)


def descend(order):
    """Fork a child, its child, and so on; each makes its marks on ``reach`` and exits with us."""
    pipes = [os.pipe() for _ in range(order["count"])]
    heard, tell = os.pipe()

    def link(depth):
        for _, begin in pipes:
            os.close(begin)
        descendants(depth)

    def descendants(depth):
        if depth + 1 < len(pipes):
            in_child(descendants, depth + 1)
        else:
            os.write(tell, b".")
        if os.read(pipes[depth][0], 1):
            mark(order["marks"])
            os.write(tell, b".")

    in_child(link, 0)
    os.read(heard, 1)
    CHAIN.append(([begin for _, begin in pipes], heard))
    return 0


def reach(order):
    begins, heard = CHAIN[0]
    for begin in begins:
        os.write(begin, b".")
    for _ in begins:
        os.read(heard, 1)
    return len(begins)


WAYS = {
    way.__name__: way
    for way in (
        itself,
        child,
        shortly,
        threads,
        forks_of_threads,
        daemon,
        storm,
        exec_of_a_thread,
        die,
        reborn,
        into_cgroup,
        stand,
        again,
        descend,
        reach,
    )
}


def main():
    if sys.argv[1:2] == ["leaf"]:
        mark(int(sys.argv[2]))
        return
    say(machine=platform.machine(), pid=os.getpid())
    while True:
        order = json.loads(wait())
        say(marks=WAYS[order["how"]](order) * order.get("marks", 0))


main()
