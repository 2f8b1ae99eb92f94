"""What collection needs: features of the kernel, bcc, limits."""

import os
import subprocess
from collections.abc import Iterator

from agent.doctor.finding import Finding, failed, ok, unknown, warning
from agent.doctor.visible import OF_THE_KERNEL, why_not_limits, why_not_proc, why_not_sys
from agent.streams.shared import confinement, control_groups, limits, privileges
from agent.streams.shared.causes import cannot
from agent.streams.shared.support import EVERYTHING, Support
from agent.streams.supervisor.compilation import (
    ENVIRONMENT,
    interpreters,
    most_telling,
    too_old,
)
from agent.streams.supervisor.features import FEATURES
from agent.terminal.values import printable
from agent.this_machine import described
from agent.words import in_words

IMPORT_BCC = "from bcc import BPF, __version__; print(__version__)"
"""Fails for PyPI's bcc too, which is an unrelated library."""
IMPORT_SECONDS = 60.0
TASKS = 32
"""Twice what an agent has at most: two processes, a compiler and their threads."""


def kernel() -> Iterator[Finding]:
    """Look for what the agent needs of the kernel."""
    found = described()
    yield ok("kernel", f"{found['kernel']}, {found['cpus']} CPUs")
    for feature in FEATURES:
        yield _supported(feature.support())


def _supported(found: Support) -> Finding:
    if found.supported:
        return ok(found.feature, "available")
    if found.supported is None:
        return unknown(found.feature, found.reason)
    if found.needed_for == EVERYTHING:
        return failed(found.feature, found.reason)
    return warning(found.feature, f"{found.reason} (needed for {found.needed_for})")


def bcc() -> Iterator[Finding]:
    """Have the interpreters that may have bcc import it, as the compiling process does."""
    causes = []
    for interpreter in interpreters():
        version, said = _bcc_of(interpreter)
        old = too_old(interpreter) if version else None
        if version and old is None:
            yield ok("bcc", f"{version}, of {interpreter}")
            return
        causes.append(old or cannot("no_bcc", said))
    yield failed("bcc", most_telling(causes).message)


def _bcc_of(interpreter: str) -> tuple[str, str]:
    """Return the version of its bcc, or why it has none."""
    try:
        done = subprocess.run(
            [interpreter, "-I", "-c", IMPORT_BCC],
            capture_output=True,
            text=True,
            check=False,
            timeout=IMPORT_SECONDS,
            env=ENVIRONMENT,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return "", f"{interpreter}: {error}"
    if done.returncode == 0:
        return printable(done.stdout.strip()), ""
    last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return "", printable(f"{interpreter}: {last}")


def lockdown() -> Iterator[Finding]:
    """Look whether the kernel is locked down so far that programs may not read it."""
    mode = confinement.lockdown()
    if mode == "confidentiality":
        yield failed(
            "lockdown",
            f"kernel lockdown is {mode} ({confinement.LOCKDOWN}), which forbids reading kernel"
            " memory: boot with lockdown=integrity or without it",
        )
    elif mode:
        yield ok("lockdown", f"{mode}, which permits tracing")
    elif confinement.LOCKDOWN.exists():
        yield ok("lockdown", "off")
    elif why := why_not_sys(OF_THE_KERNEL) or _why_no_securityfs():
        yield unknown("lockdown", f"{why}. The collection below shows whether something is locked")
    else:
        yield ok("lockdown", f"this kernel has none ({confinement.LOCKDOWN} does not exist)")


def _why_no_securityfs() -> str:
    folder = confinement.LOCKDOWN.parent  # there only if the kernel has that file system
    if not folder.is_dir() or os.path.ismount(folder):
        return ""
    return f"securityfs is not mounted (mount -t securityfs securityfs {folder})"


def resource_limits() -> Iterator[Finding]:
    """Look at the limits of this process that the agent would inherit."""
    yield _files()
    yield _memory()
    yield from _tasks()
    if privileges.can_load_programs():
        yield _locked_memory()


def _files() -> Finding:
    if limits.files_allowed() < limits.files_enough():
        return warning("open_files", f"may be too few on this machine. {limits.files()}")
    return ok("open_files", f"a process may open {limits.files_allowed():,}")


def _memory() -> Finding:
    least = limits.least_memory()
    if least is None:
        why = why_not_proc() or "how much is left"
        return unknown("memory", f"{why}. {limits.memory()}")
    if least.left < limits.MEMORY_MIB * limits.MIB:
        return warning("memory", least.sentence)
    left = f"{least.left // limits.MIB:,} MiB left"
    if why := why_not_proc():
        return unknown("memory", why)
    if why := why_not_limits("memory"):
        return unknown("memory", f"{why}. But for a limit there: {left}")
    return ok("memory", left)


def _tasks() -> Iterator[Finding]:
    groups = control_groups.limits("pids")
    for limit in groups:
        if limit.left < TASKS:
            yield warning(
                "tasks",
                f"{limit.file} allows {limit.allowed} tasks and has {limit.left} left; allow"
                f" {TASKS} for the agent: TasksMax= (systemd), --pids-limit (containers)",
            )
            return
    if why := why_not_limits("pids"):
        yield unknown("tasks", why)
    else:
        yield ok("tasks", "enough are allowed" if groups else "no control group limits them")


def _locked_memory() -> Finding:
    allowed = f"RLIMIT_MEMLOCK is {limits.memlock()}"
    try:
        limited = confinement.limits_locked_memory()
    except OSError as error:
        return warning("locked_memory", f"not known whether maps count as such: {in_words(error)}")
    if limited is None:
        return warning(
            "locked_memory",
            f"{allowed}; not known whether maps count as such, since none can be created",
        )
    if limited and limits.memlock() != "unlimited":
        return warning(
            "locked_memory",
            f"maps and programs count as locked memory on this kernel, and {allowed}. If"
            " collection below fails for it: ulimit -l unlimited, LimitMEMLOCK=infinity (systemd)",
        )
    return ok("locked_memory", f"{allowed}; maps and programs do not count against it")
