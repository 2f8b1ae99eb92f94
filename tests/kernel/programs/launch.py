"""A launcher that waits for a word and then runs a command.

    launch.py COMMAND ARGUMENT...

A run can thus have the launcher's tree as its scope and start before the command does. The command
runs in its own session, so that all of its processes can be signaled at once.
"""

import os
import sys

from protocol import say, wait

NO_INPUT = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
# Standard output carries our messages to the test.
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
