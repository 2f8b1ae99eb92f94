"""The files of /proc and /sys without which nothing can be measured. Standard library only.

Python 3.9.
"""

import errno
import re
from itertools import takewhile
from pathlib import Path
from typing import Optional

from agent.streams.shared import kernels_with_btf, limits
from agent.streams.shared.causes import CannotCollect, cannot

PROC = Path("/proc")
SYS = Path("/sys")
PID_MAX = Path("/proc/sys/kernel/pid_max")
POSSIBLE_CPUS = Path("/sys/devices/system/cpu/possible")
ONLINE_CPUS = Path("/sys/devices/system/cpu/online")
BTF = Path("/sys/kernel/btf/vmlinux")
BTF_MAGIC = b"\x9f\xeb"
"""How BTF begins, in either byte order (Documentation/bpf/btf.rst)."""
FORBIDDEN = (
    f"Let the agent read the file, as it is by default: chmod a+r {BTF}; and mount "
    "nothing over it (systemd does with InaccessiblePaths=)."
)
READABLE = "Let the agent read it, as it may by default."
MOUNT = {
    "no_procfs": "Mount /proc, or, where a service manager hides a part of it, show all of it "
    "(systemd: ProcSubset=all).",
    "no_sysfs": "Mount it: mount -t sysfs sysfs /sys.",
}
"""What to do about a file that is not there."""
UNCOVER = (
    "Show the kernel's own: umount {path}, or have nothing mounted there (by a container's runtime "
    "or, as with InaccessiblePaths=, by systemd)."
)
NUMBERS = re.compile(r"\d{1,7}([-,]\d{1,7})*\n?", re.ASCII)
"""What each of them contains, except the BTF: a number, or a list like ``0-3,6``. No pid and no CPU
has more digits (PID_MAX_LIMIT in include/linux/threads.h is 4,194,304)."""


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
        raise _covered(str(path), "holds no numbers")
    return text


def check_btf(path: Path = BTF) -> None:
    """Check that a file begins as BTF does, without reading all of it. Raises CannotCollect."""
    try:
        with path.open("rb") as file:
            found = file.read(len(BTF_MAGIC))
    except OSError as error:
        raise unreadable(str(path), error) from error
    if not found:
        raise _hidden(str(path))
    if found not in (BTF_MAGIC, BTF_MAGIC[::-1]):
        raise _covered(str(path), "is not BTF")


def unreadable(path: str, error: OSError) -> CannotCollect:
    """Return the cause for a file that the kernel does not let us open or read."""
    limit = limits.reached(path, error.errno)
    if limit is not None:
        return limit
    code, said = _code(path), f"{path}: {error.strerror}"
    forbidden = error.errno in (errno.EACCES, errno.EPERM)
    if code == "no_btf":
        advice = FORBIDDEN if forbidden else kernels_with_btf.advice_on_missing()
        return _with(cannot(code, said), advice)
    if covered := covered_part(Path(path)):
        cause = cannot(code, f"{said}; something else is mounted over {covered}")
        return _with(cause, UNCOVER.format(path=covered))
    return _with(cannot(code, said), READABLE if forbidden else MOUNT[code])


def unparsed(detail: str) -> CannotCollect:
    """Return the cause for BTF of the running kernel that is there and of no use."""
    advice = kernels_with_btf.advice_on_unusable(kernels_with_btf.UNPARSED)
    return _with(cannot("no_btf", detail), advice)


def _hidden(path: str) -> CannotCollect:
    return _covered(path, "is empty")


def _covered(path: str, how: str) -> CannotCollect:
    covered = str(covered_part(Path(path)) or path)
    what = "it" if covered == path else covered
    cause = cannot(_code(path), f"{path} {how}: something else is mounted over {what}")
    if cause.code == "no_btf":
        return _with(cause, kernels_with_btf.advice_on_unusable(kernels_with_btf.COVERED))
    return _with(cause, UNCOVER.format(path=covered))


def covered_part(path: Path) -> Optional[Path]:
    """Return the part of a path in /proc or /sys over which another file system is mounted.

    That is the file itself or a folder that it is in; None: there is no such part.
    """
    top = SYS if path.is_relative_to(SYS) else PROC
    covered = None
    inside = takewhile(lambda part: part != top, (path, *path.parents))
    for part in inside if path.is_relative_to(top) else ():
        try:
            is_other = part.stat().st_dev != top.stat().st_dev
        except OSError as error:  # not there, not to be seen, or of FUSE without its process
            is_other = error.errno == errno.ENOTCONN
        covered = part if is_other else covered
    return covered


def _with(cause: CannotCollect, advice: str) -> CannotCollect:
    return CannotCollect(f"{cause.message} {advice}".rstrip(), code=cause.code)


def _code(path: str) -> str:
    if path == str(BTF):
        return "no_btf"
    return "no_sysfs" if path.startswith("/sys/") else "no_procfs"
