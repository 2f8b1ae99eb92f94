"""A second of work with something in it for each section; waits for a line before and after."""

import os
import sys
import time

EXECS = 10
FSYNCS = 10
TURNS = 200
SLEEP_S = 0.2


def main() -> None:
    """Do the work once for each line of standard input, and print a line when it is done."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        execute()
        write()
        play_ping_pong()
        time.sleep(SLEEP_S)
        sys.stdout.write("done\n")
        sys.stdout.flush()


def execute() -> None:
    for _ in range(EXECS):
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def write() -> None:
    name = f"/var/tmp/matrix-{os.getpid()}"
    fd = os.open(name, os.O_CREAT | os.O_RDWR)
    os.unlink(name)
    for turn in range(FSYNCS):
        os.pwrite(fd, bytes(4096), turn * 4096)
        os.fsync(fd)
    os.close(fd)


def play_ping_pong() -> None:
    there_out, there_in = os.pipe()
    back_out, back_in = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(there_in)
        while byte := os.read(there_out, 1):
            os.write(back_in, byte)
        os._exit(0)
    for _ in range(TURNS):
        os.write(there_in, b"!")
        os.read(back_out, 1)
    os.close(there_in)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
