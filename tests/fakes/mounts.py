"""Mounts that only one agent sees. They need root."""

import os


def mounting(script: str) -> list[str]:
    """Return a command that runs another one in mounts of its own, after a shell script."""
    return ["unshare", "--mount", "sh", "-ec", f'{script}; exec "$@"', "sh"]


def compiling_anew() -> list[str]:
    """Return a command that runs an agent for which nothing was compiled before.

    What root's agents compile is kept in /run. Others always compile.
    """
    return mounting("mount -t tmpfs -o mode=755 none /run") if os.geteuid() == 0 else []
