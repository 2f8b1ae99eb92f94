"""Labels that a run has without being given any: the commit of the directory that it is run in."""

import contextlib
import os
import re
import select
import signal
import time
from collections.abc import Mapping
from typing import NoReturn

from agent.run.user import User, become, user_of

GIT = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
"""Prints the commit's id in full, and ``-dirty`` after it if a file that git knows differs."""
ENVIRONMENT = {"HOME": os.devnull, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
"""Neither the caller's configuration, which may not be the owner's, nor a variable of git's."""
COMMIT = re.compile(r"[0-9a-f]{40,64}(-dirty)?")
NOT_RUN = 127
LONGEST_ANSWER = 4096
PATIENCE_S = 2.0
"""To look at all files of a large tree that is not in memory takes longer: then there is none."""


class CommitHere:
    """The commit of the working directory's git tree: asked for at once, known a little later.

    A tree that differs from its commit has ``-dirty`` after it. Git runs commands that a tree's
    configuration names, so that for root it runs as the tree's owner; for others it refuses a tree
    that is not theirs. Where git is missing or fails, there is no commit.
    """

    def __init__(self) -> None:
        self._git: tuple[int, int] | None = None
        tree = _tree()
        if tree is not None:
            with contextlib.suppress(OSError):  # there is no process or descriptor left
                self._git = _ask(_owner_of(tree))

    def answer(self) -> str:
        """Return the commit, or an empty string if there is none. Call this once."""
        if self._git is None:
            return ""
        child, output = self._git
        said = _read(output)
        os.close(output)
        if said is None:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        return said if said and status == 0 and COMMIT.fullmatch(said) else ""


def _ask(owner: User | None) -> tuple[int, int]:
    """Start git as that user; return its pid, and what reads its output. Raises OSError.

    ``subprocess`` does the same, and takes as long to import as git takes to answer.
    """
    environment = {**ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath)}
    output, write = os.pipe()
    try:
        child = os.fork()
        if child == 0:
            _become_git(owner, write, environment)
    except OSError:
        os.close(output)
        raise
    finally:
        os.close(write)
    return child, output


def _become_git(owner: User | None, output: int, environment: Mapping[str, str]) -> NoReturn:
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for stream, file in ((0, null), (1, output), (2, null)):
            os.dup2(file, stream)
        if owner is not None:
            become(owner)
        os.execvpe(GIT[0], GIT, environment)
    finally:
        os._exit(NOT_RUN)


def _read(output: int) -> str | None:
    """Return what git says, once it has ended; None if that takes too long."""
    said, deadline = b"", time.monotonic() + PATIENCE_S
    watched = select.poll()
    watched.register(output)
    while watched.poll(max(deadline - time.monotonic(), 0) * 1000):
        if not (part := os.read(output, LONGEST_ANSWER)):
            return said.decode(errors="replace").strip()
        said += part
    return None


def _tree() -> os.stat_result | None:
    """Return what is known of the ``.git`` of this directory or of the nearest one above it."""
    try:
        folder = os.getcwd()
    except OSError:  # it was removed
        return None
    while True:
        try:
            return os.stat(os.path.join(folder, ".git"))
        except OSError:
            above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _owner_of(tree: os.stat_result) -> User | None:
    """Return whom git shall run as; None: as whom we do."""
    if os.geteuid() != 0 or tree.st_uid == 0:
        return None
    return user_of(str(tree.st_uid))
