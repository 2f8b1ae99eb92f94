"""What is emptied between two runs, in the kernel's own maps."""

import mmap
from collections.abc import Iterator
from contextlib import closing

import pytest

from agent.streams.shared import bpf
from agent.streams.supervisor.maps import Maps, RunConfig, this_machine

CONFIG = RunConfig(start_ns=1, root_tgid=1, agent_tgid=1)


@pytest.fixture
def maps() -> Iterator[Maps]:
    with closing(Maps(this_machine())) as made:
        yield made


def mark(maps: Maps, name: str) -> None:
    """Write a byte, as a program might, somewhere in a table."""
    with mmap.mmap(maps.fds[name], maps.geometry.map_sizes()[name], mmap.MAP_SHARED) as table:
        table[-1] = 7


def is_empty(maps: Maps, name: str) -> bool:
    return not any(bpf.element(maps.fds[name], 0, maps.geometry.map_sizes()[name]))


@pytest.mark.parametrize("name", ["slots", "counters", "members", "requests", "softirqs"])
def test_a_start_finds_nothing_of_the_run_before(maps: Maps, name: str) -> None:
    maps.reset(CONFIG, ())
    mark(maps, name)
    maps.reset(CONFIG, ())
    assert is_empty(maps, name)


def test_members_are_forgotten_after_a_run_and_not_again_before_the_next(maps: Maps) -> None:
    maps.reset(CONFIG, ())
    mark(maps, "members")
    maps.clear_members()
    assert is_empty(maps, "members")
    mark(maps, "members")  # no program does, now that none is attached
    maps.reset(CONFIG, ())
    assert not is_empty(maps, "members")
    # what the next run's programs write is forgotten after it
    maps.clear_members()
    assert is_empty(maps, "members")


def test_bins_are_emptied_if_anything_was_folded(maps: Maps) -> None:
    mark(maps, "folded_bins")
    mark(maps, "folded_sums")
    maps.reset(CONFIG, ())
    assert is_empty(maps, "folded_bins")
    assert is_empty(maps, "folded_sums")


def test_the_memory_of_maps_is_what_the_kernel_says(maps: Maps) -> None:
    fds = set(maps.of_programs("ring").values())
    for _ in range(2):
        assert maps.kernel_bytes("ring", ()) == sum(map(bpf.map_bytes, fds))
    assert maps.kernel_bytes("ring", ("wall",)) > maps.kernel_bytes("ring", ())
