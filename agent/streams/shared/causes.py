"""Why eBPF is unavailable, and the fix. Standard library only."""

import os
import platform
from pathlib import Path

from agent.errors import AgentError
from agent.streams.shared import privileges

BTF = Path("/sys/kernel/btf/vmlinux")
LOCKDOWN = Path("/sys/kernel/security/lockdown")

CURES = {
    "not_linux": "eBPF needs Linux; this is {detail}. Run the agent on the Linux machine that "
    "runs the benchmark.",
    "no_bcc": "no Python interpreter here can import bcc ({detail}). Install it: "
    "apt-get install python3-bpfcc (Debian, Ubuntu) or dnf install python3-bcc (Fedora); "
    "the package called bcc on PyPI is something else.",
    "no_capability": "CAP_BPF and CAP_PERFMON are missing ({detail}). Run the agent as root, or "
    "give it both: setpriv --ambient-caps +bpf,+perfmon --inh-caps +bpf,+perfmon "
    "chainbench-agent.",
    "no_btf": "the kernel's types cannot be read ({detail}). It needs a kernel built with "
    "CONFIG_DEBUG_INFO_BTF=y, as those of current distributions are.",
    "kernel_refused": "the kernel refuses eBPF although the capabilities are there: {detail}. "
    "Lockdown (/sys/kernel/security/lockdown), a security module or a container's seccomp "
    "filter can do that.",
    "kernel_too_old": "{detail}. The agent needs Linux 5.8 or later.",
    "compile_failed": "the probes do not compile here: {detail}",
    "load_failed": "the kernel's verifier refused a program: {detail}",
    "compiler_crashed": "the compiling process ended early: {detail}. The next start tries again.",
    "compiler_timeout": "the compiling process did not answer in time: {detail}. "
    "The next start tries again.",
    "no_buffer_memory": "the kernel grants no memory for perf buffers: {detail}. Raise the limit "
    "on locked memory (ulimit -l) or kernel.perf_event_mlock_kb, or use --transport ring.",
    "supervisor_lost": "the privileged process of the agent is gone: {detail}. "
    "Restart the agent to collect again.",
}


class CannotCollect(AgentError):
    """Nothing can be measured; ``code`` is a key of CURES, unless the agent itself failed."""


def cannot(code: str, detail: str) -> CannotCollect:
    """A cause with its cure around the detail."""
    return CannotCollect(CURES[code].format(detail=detail), code=code)


def check_platform() -> None:
    """Raises CannotCollect for what can be told without trying."""
    if platform.system() != "Linux":
        raise cannot("not_linux", platform.system())
    if not privileges.can_load_programs():
        raise cannot("no_capability", f"running as uid {os.getuid()}")
    if not BTF.exists():
        raise cannot("no_btf", f"there is no {BTF}")


def refused(what: str, error: OSError) -> CannotCollect:
    """The cause behind the kernel's refusal of a bpf(2) call."""
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
