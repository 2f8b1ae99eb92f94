"""Run a module of a package in a given folder: ``python -I -S run_module.py FOLDER MODULE ...``.

`agent.client.isolation` starts this script and explains why it is needed. The folder comes after
the standard library on the path, so that it cannot shadow a standard module, and before
site-packages, so that its copy of the package takes precedence.
"""

import fcntl
import os
import runpy
import select
import signal
import site
import sys

LIFELINE = "CHAINBENCH_LIFELINE"
"""The variable with which `agent.client.children` passes the number of the fd to watch."""


def main() -> None:
    _, folder, module, *arguments = sys.argv
    lifeline = os.environ.pop(LIFELINE, None)
    if lifeline is not None:
        end_with_parent(int(lifeline))
    sys.path.append(folder)
    # Add the environment's site-packages, which -S left out; -I still excludes the user's.
    site.main()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def end_with_parent(pipe: int) -> None:
    """Have SIGTERM sent to this process once the write end of ``pipe`` is closed.

    The parent holds that end and never writes, so it is closed when the parent ends, however it
    ends.
    """
    # Only Linux can choose the signal (fcntl(2)), and only there anything is ever attached.
    if sys.platform == "linux":
        fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGTERM)
        fcntl.fcntl(pipe, fcntl.F_SETFL, os.O_ASYNC)
    # not select(), which takes no fd above 1023
    watched = select.poll()
    watched.register(pipe, select.POLLIN)
    if watched.poll(0):
        sys.exit("the process that started this one has ended")


if __name__ == "__main__":
    main()
