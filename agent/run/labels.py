"""Labels that a run has without being given any: the commit of the directory that it is run in."""

import os
import re
from collections.abc import Mapping
from typing import Any

from agent.run.user import user_of

GIT = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
"""Prints the commit's id in full, and ``-dirty`` after it if a file that git knows differs."""
ENVIRONMENT = {"HOME": os.devnull, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
"""Neither the caller's configuration, which may not be the owner's, nor a variable of git's."""
COMMIT = re.compile(r"[0-9a-f]{40,64}(-dirty)?")
PATIENCE_S = 2.0
"""To look at all files of a large tree that is not in memory takes longer: then there is none."""


def commit_here() -> str:
    """Return the commit of the working directory's git tree, or an empty string if there is none.

    A tree that differs from its commit has ``-dirty`` after it. Git runs commands that a tree's
    configuration names, so that for root it runs as the tree's owner; for others it refuses a tree
    that is not theirs. Where git is missing or fails, there is no commit.
    """
    tree = _tree()
    if tree is None:
        return ""
    try:
        said = _describe(_as_owner(tree))
    except OSError:  # there is no git, or no descriptor left
        return ""
    return said if COMMIT.fullmatch(said) else ""


def _describe(owner: Mapping[str, Any]) -> str:
    """Return what git says, or an empty string if it fails. Raises OSError."""
    import subprocess  # elsewhere than in a tree the command begins sooner without

    environment = {**ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath)}
    try:
        said: bytes = subprocess.check_output(
            GIT,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=PATIENCE_S,
            **owner,
        )
    except subprocess.SubprocessError:
        return ""
    return said.decode(errors="replace").strip()


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


def _as_owner(tree: os.stat_result) -> dict[str, Any]:
    """Return the options of Popen that make a process the owner's, where we are root."""
    if os.geteuid() != 0 or tree.st_uid == 0:
        return {}
    owner = user_of(str(tree.st_uid))
    return {"user": owner.uid, "group": owner.gid, "extra_groups": owner.groups}
