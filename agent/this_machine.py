"""What is known of the machine that this process runs on. Standard library only."""

import contextlib
import os

from agent.words import Json

MODEL = "model name"
"""A line of /proc/cpuinfo on x86; other architectures have no name there."""
FIRST_CPU = 4096
"""Bytes of /proc/cpuinfo that have the first CPU. The kernel makes the rest when it is read."""


def described() -> Json:
    """Return the kernel, the number of CPUs, and their model where the kernel names it."""
    kernel = os.uname()
    found: Json = {
        "kernel": f"{kernel.sysname} {kernel.release} {kernel.version} {kernel.machine}",
        "cpus": os.cpu_count(),
    }
    model = _cpu_model()
    return {**found, "cpu_model": model} if model else found


def _cpu_model() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", "rb", buffering=0) as file:
        for line in file.read(FIRST_CPU).decode("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == MODEL:
                return value.strip()
    return ""
