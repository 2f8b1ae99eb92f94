"""Why nothing can be measured, and the fix. Standard library only, Python 3.9."""

from agent.errors import AgentError

CURES = {
    "not_linux": "eBPF needs Linux; this is {detail}. Run the agent on the Linux machine that "
    "runs the benchmark.",
    "no_bcc": "no Python interpreter on this machine can import bcc ({detail}). Install it: "
    "apt-get install python3-bpfcc (Debian, Ubuntu) or dnf install python3-bcc (Fedora); "
    "the package named bcc on PyPI is an unrelated library.",
    "no_capability": "{detail}",
    "user_namespace": "{detail}. The capabilities of a user namespace do not permit eBPF, so a "
    "rootless container cannot run the agent: start it outside, where the benchmark runs as well.",
    "no_procfs": "{detail}. The agent reads there what the kernel is set to.",
    "no_sysfs": "{detail}. The agent reads there which CPUs and types the kernel has.",
    "no_btf": "the kernel's BTF cannot be read ({detail}). The agent needs a kernel built with "
    "CONFIG_DEBUG_INFO_BTF=y, like those of current distributions.",
    "no_bpf": "the system call bpf(2) is not available: {detail}",
    "kernel_refused": "the kernel refuses eBPF although the capabilities are present: {detail}",
    "kernel_too_old": "{detail}. The agent needs Linux 5.8 or later.",
    "locked_memory": "{detail}. Kernels before 5.11 count maps and programs as locked memory. "
    "Lift the limit: ulimit -l unlimited, LimitMEMLOCK=infinity (systemd), "
    "--ulimit memlock=-1 (containers).",
    "too_many_files": "too many files are open: {detail}",
    "too_many_processes": "no further process can be started: {detail}",
    "out_of_memory": "there is not enough memory: {detail}",
    "compile_failed": "the probes do not compile on this machine: {detail}",
    "load_failed": "the kernel's verifier refused a program: {detail}",
    "compiler_crashed": "the compiler process failed: {detail}. The next start tries again.",
    "compiler_timeout": "compiling the probes took longer than it may: {detail}. The next start "
    "tries again. On a slow or busy machine, allow more: chainbench-agent serve "
    "--compile-deadline.",
    "no_buffer_memory": "the kernel refuses to lock memory for perf buffers: {detail}. Raise one "
    "of the two limits, or use --transport ring.",
    "supervisor_lost": "the agent's privileged process is gone: {detail}. "
    "Restart the agent to collect again.",
}


OF_A_LIMIT = ("too_many_files", "too_many_processes", "out_of_memory")
"""Causes that say nothing about what was tried: it may well be there."""


class CannotCollect(AgentError):
    """Nothing can be measured; ``code`` is a key of CURES, unless the agent itself failed."""


def cannot(code: str, detail: str) -> CannotCollect:
    """Return the error for a cause, with its cure and the detail."""
    return CannotCollect(CURES[code].format(detail=detail), code=code)
