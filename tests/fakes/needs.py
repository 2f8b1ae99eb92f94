"""Requirements of some tests, in addition to a kernel that runs eBPF.

`needs` and `lacking` are for what only another kernel would have: these tests are skipped even
where kernel tests are required. Anything that could be installed or granted is not of this kind.
"""

import os
import platform
from pathlib import Path
from typing import NoReturn

import pytest

from agent.streams.compiler.btf import KIND_FUNC, KernelTypes
from agent.streams.compiler.callbacks import SCHEDULE
from agent.streams.shared.causes import CannotCollect

REASON = "not on this kernel: {}"
"""tests/conftest.py knows these reasons by their beginning."""


def needs(met: bool, what: str) -> pytest.MarkDecorator:
    """Return a mark for tests of something that only some kernels have."""
    return pytest.mark.skipif(not met, reason=REASON.format(what))


def lacking(what: str) -> NoReturn:
    """Skip the test: this kernel does not have what it needs."""
    pytest.skip(REASON.format(what))


def not_here(reason: str) -> NoReturn:
    """Skip a test that is none of the kernel's, for what is not installed or not allowed here.

    Where kernel tests are required, it fails: nothing of that kind is to be missing there.
    """
    if os.environ.get("CHAINBENCH_REQUIRE_KERNEL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _calls_back() -> bool:
    try:
        types = KernelTypes()
        return any(types.type_id(name, KIND_FUNC) is not None for name in SCHEDULE)
    except CannotCollect:
        return False


def _controls_preemption() -> bool:
    try:
        return KernelTypes().type_id("bpf_preempt_disable", KIND_FUNC) is not None
    except CannotCollect:
        return False


def _delays_dequeues() -> bool:
    try:
        return KernelTypes().place_of("task_struct", "se.sched_delayed") is not None
    except CannotCollect:
        return False


def _io_uring_works() -> bool:
    try:
        return Path("/proc/sys/kernel/io_uring_disabled").read_text().strip() == "0"
    except OSError:
        return False


needs_two_cpus = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU only")

# the sysctl exists if the kernel was built with CONFIG_IA32_EMULATION
needs_32_bit_calls = needs(
    platform.machine() == "x86_64" and Path("/proc/sys/abi/vsyscall32").exists(), "32-bit calls"
)
needs_callbacks = needs(_calls_back(), "task-work callbacks (since 6.18)")
needs_preemption_control = needs(_controls_preemption(), "bpf_preempt_disable (since 6.10)")
needs_delayed_dequeues = needs(_delays_dequeues(), "delayed dequeues (since 6.12)")
needs_io_uring = needs(_io_uring_works(), "io_uring, or it is disabled")
