"""A workload that writes to a file in a given way. An order is JSON: how, path, count."""

import json
import mmap
import os

from protocol import say, wait

BLOCK = 4096


def direct(path, count):
    block = mmap.mmap(-1, BLOCK)
    file = os.open(path, os.O_WRONLY | os.O_DIRECT)
    for i in range(count):
        os.pwrite(file, block, i * BLOCK)
    os.close(file)


def left_to_the_kernel(path, count):
    """Leave dirty pages that only kernel threads write: sync(2) has the flushers do it."""
    file = os.open(path, os.O_WRONLY)
    for i in range(count):
        os.pwrite(file, b"." * BLOCK, i * BLOCK)
    os.sync()
    os.close(file)


WAYS = {"direct": direct, "left_to_the_kernel": left_to_the_kernel}


def main():
    say()
    while True:
        order = json.loads(wait())
        WAYS[order["how"]](order["path"], order["count"])
        say(count=order["count"])


main()
