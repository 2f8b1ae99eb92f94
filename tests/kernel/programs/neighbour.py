"""A workload that makes syscalls, forks, switches and I/O until it receives a line.

    neighbour.py FILE

The switches are those of two threads that pass a byte back and forth. The program reports how many
of each kind it made.
"""

import mmap
import os
import select
import sys
import threading

from protocol import say, wait

BLOCK = 4096


def ping_pong(stop):
    there, to_other = os.pipe()
    back, to_us = os.pipe()

    def answer():
        while os.read(there, 1) == b".":
            os.write(to_us, b".")

    other = threading.Thread(target=answer)
    other.start()
    turns = 0
    while not stop.is_set():
        os.write(to_other, b".")
        os.read(back, 1)
        turns += 1
    os.write(to_other, b"!")
    other.join()
    return turns


def calls_forks_and_io(path, block):
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    made = {"forks": 0, "writes": 0, "marks": 0}
    while not select.select([0], [], [], 0)[0]:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        made["forks"] += 1
        for _ in range(20):
            os.getpgid(0)
            os.close(os.open("/proc/self/comm", os.O_RDONLY))
            made["marks"] += 1
        os.pwrite(file, block, 0)
        os.fsync(file)
        made["writes"] += 1
    os.close(file)
    return made


def main():
    path = sys.argv[1]
    block = mmap.mmap(-1, BLOCK)
    stop = threading.Event()
    turns = []
    say()
    wait()
    pinging = threading.Thread(target=lambda: turns.append(ping_pong(stop)))
    pinging.start()
    say(busy=True)
    made = calls_forks_and_io(path, block)
    wait()
    stop.set()
    pinging.join()
    say(switches=2 * turns[0], **made)
    wait()


main()
