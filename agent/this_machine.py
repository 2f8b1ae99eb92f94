"""What is known of the machine that this process runs on. Standard library only."""

import contextlib
import os

from agent.words import Json

MODEL = "model name"
"""A line of /proc/cpuinfo on x86; other architectures have no name there."""
LONGEST_ID = 64
"""Bytes; a UUID as text has 36."""
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


def boot_id() -> str:
    """Return the id of this boot of the kernel (random(4)); empty where /proc does not have it.

    It is the same in every container of a machine, and another one on every other machine.
    """
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", "rb") as file:
        return file.read(LONGEST_ID).decode("ascii", "replace").strip()
    return ""


def _cpu_model() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", "rb", buffering=0) as file:
        for line in file.read(FIRST_CPU).decode("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == MODEL:
                return value.strip()
    return ""
