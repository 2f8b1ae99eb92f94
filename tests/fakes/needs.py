"""What a test needs of the machine, beside a kernel that runs eBPF."""

import os
import platform
from pathlib import Path

import pytest

needs_two_cpus = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU only")

# the sysctl is there where the kernel is built with CONFIG_IA32_EMULATION
needs_32_bit_calls = pytest.mark.skipif(
    platform.machine() != "x86_64" or not Path("/proc/sys/abi/vsyscall32").exists(),
    reason="this kernel has no 32-bit calls",
)
