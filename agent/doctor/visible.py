"""Why files of the kernel are not visible here: what they would say is then not known.

That a file is not there says something about the machine only where its file system is.
"""

import errno
from pathlib import Path

from agent.streams.shared.confinement import in_user_namespace
from agent.streams.shared.control_groups import MOUNTS, groups
from agent.streams.shared.foreign_names import lines
from agent.streams.shared.kernel_counts import INITIAL_PID_NAMESPACE
from agent.streams.shared.kernel_files import covered_part
from agent.streams.shared.namespaces import NOT_MOUNTED, proc_is_mounted, why_proc_lacks_us
from agent.streams.shared.privileges import effective_capabilities
from agent.terminal.values import printable

PROC = Path("/proc")
SYS = Path("/sys")
CPUS, OF_THE_KERNEL = "devices/system/cpu", "kernel"
"""Folders of /sys that every kernel has."""

CAP_SYS_PTRACE = 19
LONGEST_KIND = 40
PROCESSES_ONLY = (
    "/proc shows processes only; show all of it (mount -t proc proc /proc; systemd: ProcSubset=all)"
)
NO_SYS = "/sys is not mounted; mount it (mount -t sysfs sysfs /sys)"
NO_RIGHT = "only root with CAP_SYS_PTRACE sees what other users' processes have open"
NAMESPACE = "only the processes of this pid namespace are visible; ask outside of the container too"


def why_not_proc() -> str:
    """Return why what /proc says of the machine is not visible; empty if it is."""
    if not proc_is_mounted():
        return NOT_MOUNTED
    return "" if (PROC / "sys").is_dir() else PROCESSES_ONLY


def why_not_sys(folder: str = CPUS) -> str:
    """Return why a folder of /sys that every kernel has is not visible; empty if it is."""
    if covered := covered_part(SYS / folder):
        return _what_covers(covered)
    return "" if (SYS / folder).is_dir() else NO_SYS


def _what_covers(path: Path) -> str:
    """Return what is mounted over a part of /sys, and what to do.

    Container managers have a FUSE file system show a container its own CPUs there (lxcfs): without
    it, programs there would count the machine's. One whose process is gone shows nothing at all.
    """
    kind = printable(_file_system(path), LONGEST_KIND)
    if kind.partition(".")[0] == "fuse" and not _is_dead(path):
        said = f"{kind} is mounted over {path}, as container managers do"
        return f"{said}; ask outside of the container too"
    return f"{kind or 'something else'} is mounted over {path} (umount {path})"


def _is_dead(path: Path) -> bool:
    """Whether this is a FUSE file system whose process has ended."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


def _file_system(path: Path) -> str:
    """Return the type of what is mounted at a path; empty if that is not known."""
    for line in reversed(lines(MOUNTS)):
        fields, _, kind = line.partition(" - ")
        if fields.split(" ")[4:5] == [str(path)]:
            return kind.partition(" ")[0]
    return ""


def why_not_every_process() -> str:
    """Return why there may be processes here whose descriptors are not visible; empty if none."""
    if why := why_proc_lacks_us():
        return why
    # hidepid=2 hides even their folders without the capability
    if not effective_capabilities() >> CAP_SYS_PTRACE & 1 or in_user_namespace():
        return NO_RIGHT
    if (PROC / "self/ns/pid").stat().st_ino != INITIAL_PID_NAMESPACE:
        return NAMESPACE
    return ""


def why_not_limits(controller: str) -> str:
    """Return why limits of this process's control groups are not visible; empty if they are."""
    if why := why_proc_lacks_us():
        return why
    found = groups(controller)
    if not found.version:  # the kernel has none
        return ""
    if any(group.is_dir() for group in found.directories):
        return ""
    return f"the control group {found.path} is not mounted here ({controller})"
