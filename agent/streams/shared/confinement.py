"""What prevents a privileged process from using eBPF.

That may be a namespace, a filter, a security module or a limit.

Standard library only, Python 3.9. Each is determined, not guessed: what does not confine this
process is not named.
"""

import errno
import os
import re
import resource
from pathlib import Path
from typing import Optional

from agent.streams.shared import bpf, foreign_names

USER_NAMESPACE = Path("/proc/self/ns/user")
INITIAL_USER_NAMESPACE = 0xEFFFFFFD
"""Its inode: PROC_USER_INIT_INO in include/linux/proc_ns.h."""

STATUS = Path("/proc/self/status")
PROFILE = Path("/proc/self/attr/current")
UNCONFINED = re.compile(r"(kernel|unconfined|.*\(complain\)|.*:unconfined_t(:.*)?)?")
"""What AppArmor and SELinux call a process that they do not confine, or only watch."""

LOCKDOWN = Path("/sys/kernel/security/lockdown")
IN_FORCE = re.compile(r"\[(\w+)\]")

COUNTS = "maps count as locked memory"
_found: dict[str, bool] = {}
"""What was found out about this kernel, which does not change."""

SECCOMP_FILTER = "2"
FILTER = (
    "A seccomp filter is in force (/proc/self/status). Have it allow bpf and perf_event_open: "
    "--security-opt seccomp=unconfined or a profile of your own (containers), "
    "SystemCallFilter= (systemd)."
)


def in_user_namespace() -> bool:
    """Whether this process is in a user namespace other than the initial one. Raises OSError.

    The kernel asks for CAP_BPF and CAP_PERFMON in the initial one (bpf_capable()).
    """
    return USER_NAMESPACE.stat().st_ino != INITIAL_USER_NAMESPACE


def filters_calls() -> bool:
    """Whether a seccomp filter applies to this process (proc_pid_status(5)); False if unknown."""
    return f"Seccomp:\t{SECCOMP_FILTER}" in foreign_names.lines(STATUS)


def profile() -> str:
    """Return the security module's profile or context of this process; empty if unconfined."""
    try:
        name = PROFILE.read_text(encoding="utf-8", errors="backslashreplace").strip("\0\n ")
    except OSError:  # no module has any
        return ""
    return "" if UNCONFINED.fullmatch(name) else name


def suspect(reaches_kernel: bool) -> str:
    """Return what refuses eBPF to this process, in a sentence with its cure.

    ``reaches_kernel``: whether bpf(2) calls get past a filter, if there is one.
    """
    filtered, name = filters_calls(), profile()
    if filtered and not reaches_kernel:
        return FILTER
    if name:
        return (
            f"A security module confines this process as {name} ({PROFILE}). Let its policy allow "
            "bpf and perf_event_open."
        )
    if filtered:  # by other arguments than the number of the call
        return FILTER
    return (
        "Neither a seccomp filter nor a security module's profile confines this process; the agent "
        "cannot tell what forbids it."
    )


def lockdown() -> str:
    """Return the mode of kernel lockdown (kernel_lockdown(7)); empty if it is off or unknown."""
    try:
        modes = LOCKDOWN.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    chosen = IN_FORCE.search(modes)
    return "" if chosen is None or chosen[1] == "none" else chosen[1]


def limits_locked_memory() -> Optional[bool]:
    """Whether RLIMIT_MEMLOCK applies to maps, as before Linux 5.11 (bpf_charge_memlock()).

    A small map is created twice, the second time under a limit of 0. If not even the first one can
    be, because nothing is left of the limit or maps are forbidden, then what was found earlier
    holds; None if nothing was.
    """
    if not can_create_a_map():
        return _found.get(COUNTS)
    _found[COUNTS] = _fails_without_locked_memory()
    return _found[COUNTS]


def _fails_without_locked_memory() -> bool:
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, before[1]))
    try:
        return not can_create_a_map()
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, before)


def can_create_a_map() -> bool:
    """Whether the kernel does not forbid it; it may fail for other reasons."""
    try:
        os.close(bpf.create_map("cba_test", bpf.MAP_TYPE_ARRAY, key=4, value=4))
    except OSError as error:
        return error.errno != errno.EPERM
    return True
