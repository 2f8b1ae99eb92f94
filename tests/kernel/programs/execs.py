"""A workload that runs a command in a given way. An order is JSON: how, path, count."""

import ctypes
import json
import os
import platform
import threading

from protocol import say, wait

EXECVEAT = {"x86_64": 322, "aarch64": 281}.get(platform.machine(), -1)
LIBC = ctypes.CDLL(None, use_errno=True)
FAILED = 127


def plain(path: bytes) -> None:
    os.execv(path, [b"true"])


def at(path: bytes) -> None:
    folder = os.open(os.path.dirname(path), os.O_PATH)
    arguments = (ctypes.c_char_p * 2)(b"true", None)
    nothing = (ctypes.c_char_p * 1)(None)
    LIBC.syscall(EXECVEAT, folder, os.path.basename(path), arguments, nothing, 0)


def from_a_thread(path: bytes) -> None:
    thread = threading.Thread(target=plain, args=(path,))
    thread.start()
    thread.join()


def nothing_at_all(path: bytes) -> None:
    os._exit(0)


WAYS = {"plain": plain, "execveat": at, "thread": from_a_thread, "fork_only": nothing_at_all}


def run(way: str, path: bytes) -> int:
    child = os.fork()
    if child == 0:
        try:
            WAYS[way](path)
        finally:
            os._exit(FAILED)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    say()
    while True:
        order = json.loads(wait())
        path = os.fsencode(order["path"])
        statuses = [run(order["how"], path) for _ in range(order["count"])]
        say(succeeded=statuses.count(0), failed=statuses.count(FAILED))


main()
