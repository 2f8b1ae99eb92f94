"""Run other programs, and say what one said when it failed."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

LONGEST_OUTPUT = 2000
"""Characters quoted of what a failed program printed."""

PROGRAMS = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "mmdebstrap": "mmdebstrap",
    "cpio": "cpio",
    "mke2fs": "e2fsprogs",
    "depmod": "kmod",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}
"""What every run needs, with Debian's package of it."""
EMULATORS = {
    "amd64": {"qemu-system-x86_64": "qemu-system-x86"},
    "arm64": {
        "qemu-system-aarch64": "qemu-system-arm",
        "qemu-aarch64-static": "qemu-user-static",
        "update-binfmts": "binfmt-support",
        "arch-test": "arch-test",
    },
}


class Failed(Exception):
    """Something that a run needs could not be done; the text says what, and why."""


def run(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Return what a program prints. Raises `Failed` with the end of what it printed if it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            cwd=cwd,
            env=env,
            check=False,
        )
    except OSError as error:
        raise Failed(f"{words[0]}: {error.strerror}") from error
    if done.returncode:
        said = done.stdout[-LONGEST_OUTPUT:]
        raise Failed(f"{' '.join(words[:6])} exited with {done.returncode}:\n{said}")
    return done.stdout


def need_programs(architectures: Sequence[str]) -> None:
    """Raise `Failed`, naming Debian's packages, unless what a run needs is installed."""
    needed = dict(PROGRAMS)
    for architecture in architectures:
        needed |= EMULATORS[architecture]
    missing = dict.fromkeys(p for name, p in needed.items() if shutil.which(name) is None)
    if missing:
        raise Failed(f"missing programs; install them with: apt-get install {' '.join(missing)}")
