"""Why eBPF is unavailable, and the fix. Standard library only."""

import os
import platform
from pathlib import Path

from agent.errors import AgentError
from agent.streams.shared import privileges

PID_MAX = Path("/proc/sys/kernel/pid_max")
SYSFS = Path("/sys/kernel")
BTF = Path("/sys/kernel/btf/vmlinux")
LOCKDOWN = Path("/sys/kernel/security/lockdown")

CURES = {
    "not_linux": "eBPF needs Linux; this is {detail}. Run the agent on the Linux machine that "
    "runs the benchmark.",
    "no_bcc": "no Python interpreter on this machine can import bcc ({detail}). Install it: "
    "apt-get install python3-bpfcc (Debian, Ubuntu) or dnf install python3-bcc (Fedora); "
    "the package named bcc on PyPI is an unrelated library.",
    "no_capability": "CAP_BPF and CAP_PERFMON are missing ({detail}). Run the agent as root, or "
    "give it both: setpriv --ambient-caps +bpf,+perfmon --inh-caps +bpf,+perfmon "
    "chainbench-agent.",
    "no_procfs": "{detail}. The agent reads there what the kernel is set to. Mount /proc, or, "
    "where a service manager hides a part of it, show all of it (systemd: ProcSubset=all).",
    "no_sysfs": "{detail}. The agent reads there which CPUs and types the kernel has. "
    "Mount it: mount -t sysfs sysfs /sys.",
    "no_btf": "the kernel's BTF cannot be read ({detail}). The agent needs a kernel built with "
    "CONFIG_DEBUG_INFO_BTF=y, like those of current distributions.",
    "kernel_refused": "the kernel refuses eBPF although the capabilities are present: {detail}. "
    "Possible causes are lockdown (/sys/kernel/security/lockdown), a security module or a "
    "container's seccomp filter.",
    "kernel_too_old": "{detail}. The agent needs Linux 5.8 or later.",
    "compile_failed": "the probes do not compile on this machine: {detail}",
    "load_failed": "the kernel's verifier refused a program: {detail}",
    "compiler_crashed": "the compiler process failed: {detail}. The next start tries again.",
    "compiler_timeout": "the compiler process did not answer in time: {detail}. "
    "The next start tries again.",
    "no_buffer_memory": "the kernel refuses memory for perf buffers: {detail}. Raise the limit "
    "on locked memory (ulimit -l) or kernel.perf_event_mlock_kb, or use --transport ring.",
    "supervisor_lost": "the agent's privileged process is gone: {detail}. "
    "Restart the agent to collect again.",
}


class CannotCollect(AgentError):
    """Nothing can be measured; ``code`` is a key of CURES, unless the agent itself failed."""


def cannot(code: str, detail: str) -> CannotCollect:
    """Return the error for a cause, with its cure and the detail."""
    return CannotCollect(CURES[code].format(detail=detail), code=code)


def check_platform() -> None:
    """Check what can be checked without trying to load a program. Raises CannotCollect."""
    if platform.system() != "Linux":
        raise cannot("not_linux", platform.system())
    if not privileges.can_load_programs():
        raise cannot("no_capability", f"running as uid {os.getuid()}")
    if not PID_MAX.exists():
        raise cannot("no_procfs", f"there is no {PID_MAX}")
    if not SYSFS.exists():
        raise cannot("no_sysfs", "/sys is not mounted")
    if not BTF.exists():
        raise cannot("no_btf", f"there is no {BTF}")


def refused(what: str, error: OSError) -> CannotCollect:
    """Return the error for a bpf(2) call that the kernel refused."""
    detail = f"{what}: {error.strerror}{_lockdown()}"
    if error.errno in (1, 13):  # EPERM, EACCES
        return cannot("kernel_refused", detail)
    return cannot("kernel_too_old" if error.errno == 22 else "kernel_refused", detail)


def _lockdown() -> str:
    try:
        mode = LOCKDOWN.read_text()
    except OSError:
        return ""
    chosen = mode[mode.find("[") + 1 : mode.find("]")]
    return "" if chosen in ("", "none") else f" (lockdown: {chosen})"
