"""Choice of the transport, by trying what the kernel supports."""

import errno
import os
from collections.abc import Callable

import pytest

from agent.streams.shared import bpf
from agent.streams.shared.causes import CannotCollect
from agent.streams.shared.layout import machine_geometry
from agent.streams.supervisor.buffers import ALL_CPUS, RING_BUFFERS, Buffers
from agent.streams.supervisor.perf_events import parse_cpus

GEOMETRY = machine_geometry(2, 1024)
UNKNOWN_TYPE = errno.EINVAL


class FakeKernel:
    """Creates maps of the types that it knows, as files: only their fds are used here."""

    def __init__(self, refuses: dict[int, int]) -> None:
        self.created: list[int] = []
        self._refuses = refuses

    def create_map(self, name: str, map_type: int, **sizes: int) -> int:
        if map_type in self._refuses:
            code = self._refuses[map_type]
            raise OSError(code, os.strerror(code))
        self.created.append(map_type)
        return os.memfd_create(name)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, int]], FakeKernel]:
    def install(refuses: dict[int, int]) -> FakeKernel:
        kernel = FakeKernel(refuses)
        monkeypatch.setattr(bpf, "create_map", kernel.create_map)
        return kernel

    return install


def test_auto_is_the_ring_where_the_kernel_has_one(
    kernel: Callable[[dict[int, int]], FakeKernel],
) -> None:
    created = kernel({}).created
    buffers = Buffers(GEOMETRY, lambda: [0, 1])
    assert buffers.chosen("auto") == "ring"
    [ring] = buffers.offered("ring", [], (0, 0))
    assert ring.cpu == ALL_CPUS
    assert buffers.map_fds("ring") == {"events": ring.fd}
    assert buffers.offered("ring", [ring.serial], (0, 0)) == []
    # no memory is allocated for the transport that is not used
    assert set(created) == {bpf.MAP_TYPE_RINGBUF}
    buffers.close()


def test_auto_is_perf_where_the_kernel_knows_no_ring(
    kernel: Callable[[dict[int, int]], FakeKernel],
) -> None:
    kernel({bpf.MAP_TYPE_RINGBUF: UNKNOWN_TYPE})
    assert Buffers(GEOMETRY).chosen("auto") == "perf"
    assert RING_BUFFERS.support().supported is False


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOMEM])
def test_another_refusal_is_reported_and_not_worked_around(
    kernel: Callable[[dict[int, int]], FakeKernel], code: int
) -> None:
    kernel({bpf.MAP_TYPE_RINGBUF: code})
    buffers = Buffers(GEOMETRY)
    with pytest.raises(CannotCollect, match=os.strerror(code)):
        buffers.offered(buffers.chosen("auto"), [], (0, 0))
    assert RING_BUFFERS.support().supported is None


def test_a_request_for_the_ring_gets_nothing_else(
    kernel: Callable[[dict[int, int]], FakeKernel],
) -> None:
    kernel({bpf.MAP_TYPE_RINGBUF: UNKNOWN_TYPE})
    buffers = Buffers(GEOMETRY)
    assert buffers.chosen("ring") == "ring"
    with pytest.raises(CannotCollect, match=r"5\.8"):
        buffers.offered("ring", [], (0, 0))


@pytest.mark.parametrize(
    ("text", "cpus"), [("0\n", [0]), ("0-3\n", [0, 1, 2, 3]), ("0-1,4,6-7", [0, 1, 4, 6, 7])]
)
def test_lists_of_cpus(text: str, cpus: list[int]) -> None:
    assert parse_cpus(text) == cpus
