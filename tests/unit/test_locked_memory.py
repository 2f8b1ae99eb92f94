"""The limit on locked memory is raised where maps count against it, and only there."""

import errno
import os
import resource

import pytest

from agent.streams.shared import bpf, confinement
from agent.streams.supervisor import locked_memory

UNLIMITED = resource.RLIM_INFINITY


class Kernel:
    """A kernel with a limit of 64 KiB, as before Linux 5.11."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.limit = (65_536, 65_536)
        self.counts = True
        self.may_raise = True
        patch.setattr(confinement, "_found", {})
        patch.setattr(resource, "getrlimit", lambda _: self.limit)
        patch.setattr(resource, "setrlimit", self._set)
        patch.setattr(bpf, "create_map", self._create)

    def _set(self, _: int, wanted: tuple[int, int]) -> None:
        if wanted[1] not in (self.limit[1], 0) and not self.may_raise:
            raise ValueError("not allowed to raise maximum limit")
        self.limit = wanted

    def _create(self, name: str, map_type: int, **sizes: int) -> int:
        if self.counts and self.limit[0] == 0:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        return os.memfd_create(name)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def test_root_lifts_it(kernel: Kernel) -> None:
    locked_memory.lift()
    assert kernel.limit == (UNLIMITED, UNLIMITED)


def test_without_the_capability_it_is_raised_to_the_hard_limit(kernel: Kernel) -> None:
    kernel.limit, kernel.may_raise = (65_536, 1 << 30), False
    locked_memory.lift()
    assert kernel.limit == (1 << 30, 1 << 30)


def test_where_nothing_counts_against_it_it_stays(kernel: Kernel) -> None:
    kernel.counts = False
    locked_memory.lift()
    assert kernel.limit == (65_536, 65_536)


def test_it_is_lifted_if_nothing_is_left_of_it_for_a_first_map(kernel: Kernel) -> None:
    kernel.limit = (0, 65_536)
    locked_memory.lift()
    assert kernel.limit == (UNLIMITED, UNLIMITED)
    assert confinement.limits_locked_memory()
