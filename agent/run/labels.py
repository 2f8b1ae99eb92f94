"""The label that a run has by default: the commit of the directory in which it is started."""

import contextlib
import os
import re
import select
import signal
import time
from collections.abc import Mapping
from typing import NoReturn

GIT = (
    "git",
    *("-c", "safe.directory=", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"),
    *("-c", "safe.bareRepository=explicit"),
    *("-c", "status.aheadBehind=false", "-c", "status.renames=false"),
    *("-c", "core.preloadIndex=false", "-c", "index.threads=1"),
    *("status", "--porcelain=v2", "--branch", "--untracked-files=no"),
    "--ignore-submodules=dirty",
)
"""Prints the commit's id in full, and then each file that git knows and that differs.

Whatever the system's configuration says, git refuses trees of others and those that are hidden in a
tree (a bare one), runs no hook, does not look into submodules, and starts no thread. ``describe
--dirty`` would say the same in one line, but git 2.39 walks through all commits for it.
"""
ENVIRONMENT = {"HOME": os.devnull, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
"""Without the caller's configuration, which may be another user's, and without git's variables."""
ANSWER = re.compile(r"# branch\.oid (?P<commit>[0-9a-f]{40,64})\n(?:#.*\n)*(?P<change>[^#])?")
NOT_RUN = 127
PR_SET_NO_NEW_PRIVS = 38
ENOUGH = 4096
"""Bytes of the answer that are read. Beyond them it only lists further files that differ."""
PATIENCE_S = 2.0
"""Looking at all files of a large tree that is not in memory takes longer: no commit then."""


class CommitHere:
    """The commit of the working directory's git tree: asked for at once, known a little later.

    If the tree differs from its commit, ``-dirty`` follows. Git would run commands that a tree's
    configuration names (filters, for one), so a seccomp filter keeps it from starting any process.
    And only the caller's own trees are looked at: for root, those in which every folder down to the
    working directory is root's. Where git is missing or fails, or the filter cannot be installed,
    there is no commit.
    """

    def __init__(self) -> None:
        self.git: int | None = None
        """Git's pid, if it was started."""
        # ignored, as it may be by inheritance, it would hide how git ends
        self._on_child = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if _in_own_tree():
            with contextlib.suppress(OSError):  # there is no process or descriptor left
                self.git, self._output = _ask()

    def answer(self) -> str:
        """Return the commit, or an empty string if there is none. Call this once."""
        try:
            return "" if self.git is None else _answer(self.git, self._output)
        finally:
            signal.signal(signal.SIGCHLD, self._on_child)


def _answer(child: int, output: int) -> str:
    """Return the commit that git names if it succeeds, or an empty string, and end git."""
    deadline = time.monotonic() + PATIENCE_S
    said = _read(output, deadline)
    os.close(output)  # a git that writes more gets SIGPIPE
    _wait(child, deadline if said else 0)
    os.kill(child, signal.SIGKILL)  # not reaped yet, so the pid is still git's
    _, status = os.waitpid(child, 0)
    answer = ANSWER.match(said.decode(errors="replace"))
    if answer is None or (status != 0 and len(said) < ENOUGH):
        return ""
    return answer["commit"] + ("-dirty" if answer["change"] else "")


def _ask() -> tuple[int, int]:
    """Start git in a session of its own; return its pid, and what reads its output. Raises OSError.

    ``subprocess`` does the same, and takes as long to import as git takes to answer.
    """
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    # not from a relative folder: a git that lies in the working directory is not an installed one
    path = os.pathsep.join(folder for folder in folders if os.path.isabs(folder))
    environment = {**ENVIRONMENT, "PATH": path}
    output, write = os.pipe()
    parent = os.getpid()
    try:
        child = os.fork()
        if child == 0:
            _become_git(parent, write, environment)
    except OSError:
        os.close(output)
        raise
    finally:
        os.close(write)
    return child, output


def _become_git(parent: int, output: int, environment: Mapping[str, str]) -> NoReturn:
    try:
        # here, while the parent imports what it needs itself
        from agent.parent_death import end_with_parent

        end_with_parent(parent, signal.SIGKILL)
        os.setsid()  # no terminal of the caller's
        null = os.open(os.devnull, os.O_RDWR)
        for stream, file in ((0, null), (1, output), (2, null)):
            os.dup2(file, stream)
        if _may_start_nothing():
            os.execvpe(GIT[0], GIT, environment)
    finally:
        os._exit(NOT_RUN)


def _may_start_nothing() -> bool:
    """Have the kernel refuse new processes to this one for good; return whether it does."""
    import ctypes

    from agent import call_filter

    machine = os.uname().machine
    if machine not in call_filter.CALLS:
        return False
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return call_filter.install(machine, call_filter.CALLS[machine].children) is None


def _read(output: int, deadline: float) -> bytes:
    """Return what git says, until there is `ENOUGH` of it; nothing if that takes too long."""
    said = b""
    watched = select.poll()
    watched.register(output)
    while len(said) < ENOUGH:
        if not watched.poll(max(deadline - time.monotonic(), 0) * 1000):
            return b""
        if not (part := os.read(output, ENOUGH)):
            break
        said += part
    return said


def _wait(child: int, deadline: float) -> None:
    """Wait until a process has ended, but leave it to be waited for."""
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            return
        time.sleep(0.001)


def _in_own_tree() -> bool:
    """Whether this directory or one above it has a ``.git``; for root, and all are root's."""
    try:
        folder = os.getcwd()
    except OSError:  # it was removed
        return False
    while True:
        if not _may_be_trusted(folder):
            return False
        if os.path.lexists(git := os.path.join(folder, ".git")):
            return _may_be_trusted(git)
        above = os.path.dirname(folder)
        if above == folder:
            return False
        folder = above


def _may_be_trusted(path: str) -> bool:
    try:
        return os.geteuid() != 0 or os.lstat(path).st_uid == 0
    except OSError:
        return False
