"""The files of /proc and /sys without which nothing can be measured. Standard library only.

Python 3.9.
"""

import re
from pathlib import Path

from agent.streams.shared import kernels_with_btf, limits
from agent.streams.shared.causes import CannotCollect, cannot

PID_MAX = Path("/proc/sys/kernel/pid_max")
POSSIBLE_CPUS = Path("/sys/devices/system/cpu/possible")
ONLINE_CPUS = Path("/sys/devices/system/cpu/online")
BTF = Path("/sys/kernel/btf/vmlinux")
NUMBERS = re.compile(r"\d+([-,]\d+)*\n?", re.ASCII)
"""What each of them holds but the BTF: a number, or a list like ``0-3,6``."""


def content(path: Path) -> str:
    """Return the numbers in a file. Raises CannotCollect for one that is missing or hidden.

    A file is empty if something is mounted over it, as container runtimes do with /dev/null.
    """
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise unreadable(str(path), error) from error
    if not text.strip():
        raise _hidden(str(path))
    if not NUMBERS.fullmatch(text):
        raise _lacking(str(path), f"{path} holds no numbers: something else is mounted over it")
    return text


def check_readable(path: Path) -> None:
    """Check the same as `content` for a file that is large. Raises CannotCollect."""
    try:
        with path.open("rb") as file:
            found = file.read(1)
    except OSError as error:
        raise unreadable(str(path), error) from error
    if not found:
        raise _hidden(str(path))


def unreadable(path: str, error: OSError) -> CannotCollect:
    """Return the cause for a file that the kernel does not let us open or read."""
    return limits.reached(path, error.errno) or _lacking(path, f"{path}: {error.strerror}")


def _hidden(path: str) -> CannotCollect:
    return _lacking(path, f"{path} is empty: something else is mounted over it")


def _lacking(path: str, detail: str) -> CannotCollect:
    cause = cannot(_code(path), detail)
    if cause.code != "no_btf":
        return cause
    return CannotCollect(f"{cause.message} {kernels_with_btf.advice()}".rstrip(), code=cause.code)


def _code(path: str) -> str:
    if path == str(BTF):
        return "no_btf"
    return "no_sysfs" if path.startswith("/sys/") else "no_procfs"
