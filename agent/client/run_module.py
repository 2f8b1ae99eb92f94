"""Run a module of a package in a given folder: ``python -I -S run_module.py FOLDER MODULE ...``.

`agent.client.isolation` starts this script and explains why it is needed. The folder comes after
the standard library on the path, so that it cannot shadow a standard module, and before
site-packages, so that its copy of the package takes precedence.
"""

import os
import sys

# part of the interpreter: ``signal`` takes milliseconds, in which Ctrl-C would print a traceback
from _signal import (  # type: ignore[import-not-found]
    SIG_DFL,
    SIGINT,
    default_int_handler,
    getsignal,
    signal,
)

LIFELINE = "CHAINBENCH_LIFELINE"
"""The variable with which `agent.client.children` passes the number of the fd to watch."""


class SitePackages:
    """A finder that adds the environment's site-packages before an import that may need them.

    Such an import is neither of the standard library nor of our own ``package``. Adding them runs
    the code in their ``.pth`` files, which can take a fifth of the time until ``run`` begins its
    command, and ``run`` needs nothing from there until the command has ended.
    """

    def __init__(self, package: str) -> None:
        self._package = package
        self._added = False

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        """Return None always: the finders after this one in ``sys.meta_path`` find the module."""
        is_ours = path is not None or name in sys.stdlib_module_names or name == self._package
        if not (is_ours or self._added):
            self._added = True
            import site

            site.main()  # -I still excludes the user's


def main() -> None:
    end_by_ctrl_c()
    import runpy

    _, folder, module, *arguments = sys.argv
    lifeline = os.environ.pop(LIFELINE, None)
    if lifeline is not None:
        end_with_parent(int(lifeline))
    sys.path.append(folder)
    sys.meta_path.insert(0, SitePackages(module.partition(".")[0]))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def end_by_ctrl_c() -> None:
    """Have SIGINT end this process, unless it is ignored, and not print a traceback.

    Whoever has something to say or to end then handles it (`agent.terminal.streams.run_command`).
    """
    if getsignal(SIGINT) is default_int_handler:
        signal(SIGINT, SIG_DFL)


def end_with_parent(pipe: int) -> None:
    """Have SIGTERM sent to this process once the write end of ``pipe`` is closed.

    The parent holds that end and never writes, so it is closed when the parent ends, however it
    ends.
    """
    import fcntl
    import select
    import signal

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
