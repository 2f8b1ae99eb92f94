"""Why the kernel refused something, determined from the errno and what else can be found out.

Standard library only, Python 3.9.
"""

import errno
import os
from typing import Optional

from agent.streams.shared import bpf, confinement, kernel_files, limits, privileges
from agent.streams.shared.causes import CannotCollect, cannot
from agent.streams.shared.machines import MACHINES, this_machine

READS_KERNEL = "bpf_probe_read_kernel#"
"""How the verifier's log names the helper that lockdown forbids (bpf_tracing_func_proto())."""

GRANT = (
    "Run the agent as root (in a container with --cap-add BPF --cap-add PERFMON), or give a user "
    "both capabilities: sudo setpriv --reuid USER --regid USER --init-groups --inh-caps "
    "+bpf,+perfmon --ambient-caps +bpf,+perfmon chainbench-agent."
)
BOUNDS = "The bounding set of this process (CapBnd in /proc/self/status) excludes {names}, so"
ONLY_AS_ROOT = (
    f"{BOUNDS} no user can be given both here. Run the agent as root, with CAP_SYS_ADMIN, which "
    "implies them and is in that set."
)
OUT_OF_BOUNDS = (
    f"{BOUNDS} running as root does not help. Have whatever limits that set leave both "
    "capabilities in it: --cap-add BPF --cap-add PERFMON (containers), CapabilityBoundingSet= "
    "(systemd)."
)


def refused(what: str, error: OSError) -> CannotCollect:
    """Return the cause of a refusal. ``what``: what was tried, for the message."""
    if error.filename is not None:
        return kernel_files.unreadable(str(error.filename), error)
    said = f"{what}: {error.strerror or error}"
    if limit := limits.reached(what, error.errno):
        return limit
    if error.errno in (errno.EPERM, errno.EACCES):
        return _not_permitted(said)
    if error.errno == errno.ENOSYS:
        return _no_call(said)
    if error.errno == errno.EINVAL:
        return cannot("kernel_too_old", f"{said} (Linux {os.uname().release})")
    return cannot("kernel_refused", f"{said}. The agent cannot tell why.")


def in_short(error: OSError) -> str:
    """Return the kernel's own word, and the limit that was reached if there is one."""
    limit = limits.explained(error.errno)
    return f"{error.strerror}. {limit}" if limit else str(error.strerror)


def not_loaded(program: str, error: bpf.LoadFailed) -> CannotCollect:
    """Return the cause for a program that the kernel did not load.

    What the verifier rejects has a log. A program may also pass it and be refused afterwards.
    """
    what = f"loading the program for {program}"
    if limit := limits.reached(what, error.errno):
        return limit
    mode = confinement.lockdown()
    if mode and READS_KERNEL in error.log:
        forbidden = f"kernel lockdown is {mode} ({confinement.LOCKDOWN})"
        detail = f"{what}: {forbidden}, which forbids reading kernel memory. Boot without it."
        return cannot("kernel_refused", detail)
    if error.log:
        return cannot("load_failed", f"{program}: {error}")
    return refused(what, OSError(error.errno, str(error)))


def check_call() -> None:
    """Check that bpf(2) calls reach the kernel's code. Raises CannotCollect.

    To a command that it does not know, the kernel answers EINVAL; a filter refuses the call before.
    """
    try:
        bpf.unknown_command()
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise refused("calling bpf(2)", error) from error


def lacks_capabilities(said: str) -> Optional[CannotCollect]:
    """Return the cause if this process lacks capabilities needed to load programs.

    ``said``: what shows that they are missing, or who lacks them, for the message.
    """
    missing = privileges.missing_to_load()
    if not missing:
        return None
    lacking = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing ({said})"
    return cannot("no_capability", f"{lacking}. {_how_to_get(missing)}")


def _how_to_get(capabilities: list[str]) -> str:
    outside = privileges.out_of_bounds(capabilities)
    if not outside:
        return GRANT
    cure = ONLY_AS_ROOT if privileges.root_can_load() else OUT_OF_BOUNDS
    return cure.format(names=" and ".join(outside))


def _not_permitted(said: str) -> CannotCollect:
    if _in_user_namespace():
        return cannot("user_namespace", said)
    if cause := lacks_capabilities(said):
        return cause
    if confinement.limits_locked_memory():
        return cannot("locked_memory", f"{said} (RLIMIT_MEMLOCK is {limits.memlock()})")
    return cannot("kernel_refused", f"{said}. {confinement.suspect(_reaches_kernel())}")


def _in_user_namespace() -> bool:
    try:
        return confinement.in_user_namespace()
    except OSError:
        return False


def _reaches_kernel() -> bool:
    try:
        bpf.unknown_command()
    except OSError as error:
        return error.errno == errno.EINVAL
    return True


def _no_call(said: str) -> CannotCollect:
    if this_machine() is None:
        return cannot("no_bpf", f"{said}. The agent runs on {', '.join(MACHINES)}.")
    if confinement.filters_calls():
        return cannot("no_bpf", f"{said}. {confinement.FILTER}")
    return cannot("no_bpf", f"{said}. The agent needs a kernel built with CONFIG_BPF_SYSCALL=y.")
