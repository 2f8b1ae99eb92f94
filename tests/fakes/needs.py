"""Requirements on the machine that some tests have, in addition to a kernel that runs eBPF."""

import os
import platform
from pathlib import Path

import pytest

from agent.streams.compiler.btf import KIND_FUNC, KernelTypes
from agent.streams.compiler.callbacks import SCHEDULE
from agent.streams.shared.causes import CannotCollect

needs_two_cpus = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU only")

# the sysctl exists if the kernel was built with CONFIG_IA32_EMULATION
needs_32_bit_calls = pytest.mark.skipif(
    platform.machine() != "x86_64" or not Path("/proc/sys/abi/vsyscall32").exists(),
    reason="this kernel has no 32-bit calls",
)


def _calls_back() -> bool:
    try:
        return KernelTypes().type_id(SCHEDULE, KIND_FUNC) is not None
    except CannotCollect:
        return False


needs_callbacks = pytest.mark.skipif(
    not _calls_back(), reason="this kernel (before 6.18) has no task-work callbacks"
)


def _delays_dequeues() -> bool:
    try:
        return KernelTypes().offset_of("task_struct", "se.sched_delayed") is not None
    except CannotCollect:
        return False


needs_delayed_dequeues = pytest.mark.skipif(
    not _delays_dequeues(), reason="this kernel (before 6.12) has no delayed dequeues"
)


def _io_uring_works() -> bool:
    try:
        return Path("/proc/sys/kernel/io_uring_disabled").read_text().strip() == "0"
    except OSError:
        return False


needs_io_uring = pytest.mark.skipif(not _io_uring_works(), reason="io_uring cannot be used here")
