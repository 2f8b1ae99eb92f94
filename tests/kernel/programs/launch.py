"""Waits for a word, then runs a command: its tree can be the scope of a run that begins earlier.

    launch.py COMMAND ARGUMENT...

The command has a session of its own, so that all of it can be signalled at once.
"""

import os
import sys

from protocol import say, wait

NO_INPUT = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
# Standard output is where we speak with the test.
OUTPUT_TO_ERRORS = (os.POSIX_SPAWN_DUP2, 2, 1)


def main() -> None:
    command = sys.argv[1:]
    say()
    wait()
    pid = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[NO_INPUT, OUTPUT_TO_ERRORS],
        setsid=True,
    )
    say(pid=pid)
    _, status = os.waitpid(pid, 0)
    say(status=os.waitstatus_to_exitcode(status))
    wait()


main()
