"""No resource grows, however many runs are made and however many events they have."""

import os
from collections import Counter
from pathlib import Path

import pytest
import requests
from fakes.proc import resident_kib
from fakes.processes import Bpftool, Launched, children, held, status_field
from fakes.program import program

WARM_UP = 20
"""Cycles until all that is kept has its final size: the last runs' evidence (16), caches, pools."""

AGENT_ALLOWANCE_KIB = 12 * 1024
"""The cyclic garbage collector lets the objects of some hundred runs accumulate first (measured:
6 MiB in total, then released). Keeping each run's histograms would take 0.7 MiB per run, its
evidence 50 KiB."""
SUPERVISOR_ALLOWANCE_KIB = 1024

EVENTS_ALLOWANCE_KIB = 3 * 1024
"""For 800,000 events; keeping them would take 6 MiB at 8 bytes each."""


def holdings(pid: int) -> Counter[str]:
    """Return the counts of resources that a process must release after each run."""
    return Counter(
        fds=len(os.listdir(f"/proc/{pid}/fd")),
        mappings=files_mapped(pid),
        threads=int(status_field(pid, "Threads")),
        children=len(children(pid)),
        maps=len(held(pid, "map")),
        programs=len(held(pid, "prog")),
    )


def files_mapped(pid: int) -> int:
    """Return the number of mapped files and BPF maps, without the allocator's own mappings.

    Those come and go with the heap.
    """
    rows = (line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines())
    return sum(len(row) > 5 and not row[5].startswith("[") for row in rows)


@pytest.mark.thorough
@pytest.mark.parametrize("cycles", [100, 1_000])
def test_nothing_grows_with_the_number_of_runs(
    own_agent: Launched, bpftool: Bpftool, cycles: int
) -> None:
    def measured() -> tuple[Counter[str], Counter[str], Counter[str]]:
        loaded = bpftool.programs(held(own_agent.supervisor, "map"))
        return holdings(own_agent.supervisor), holdings(own_agent.pid), Counter(loaded.values())

    def has_grown(before: tuple[Counter[str], ...]) -> list[Counter[str]]:
        """Return what exists now and did not before."""
        pairs = zip(measured(), before, strict=True)
        return [more for now, then in pairs if (more := now - then)]

    def cycle(times: int) -> None:
        for _ in range(times):
            assert client.post(f"{own_agent.url}/start").json()["available"]
            assert client.post(f"{own_agent.url}/stop").json()["available"]

    # one connection for all: otherwise the number of fds would depend on when one is closed
    with requests.Session() as client:
        cycle(WARM_UP)
        before = measured()
        cycle(20)
        assert has_grown(before) == []
        memory = resident_kib(own_agent.pid), resident_kib(own_agent.supervisor)
        cycle(cycles - 20 - WARM_UP)
        assert has_grown(before) == []
    assert resident_kib(own_agent.pid) < memory[0] + AGENT_ALLOWANCE_KIB
    assert resident_kib(own_agent.supervisor) < memory[1] + SUPERVISOR_ALLOWANCE_KIB


@pytest.mark.thorough
def test_no_event_is_kept(own_agent: Launched) -> None:
    """Two loads in one run, the second four times as long as the first."""
    with own_agent.run(sections=["runqlat"]):
        few, resident = after_turns(own_agent, 100_000)
        many, resident_later = after_turns(own_agent, 400_000)
    assert few >= 200_000
    assert many - few >= 800_000
    assert resident_later < resident + EVENTS_ALLOWANCE_KIB


def after_turns(agent: Launched, turns: int) -> tuple[int, int]:
    """Return the events received so far and the resident memory, after turns of two processes."""
    with program("pingpong", turns) as pingpong:
        pingpong.work()
    received = events_received(agent.metrics())
    return received, resident_kib(agent.pid)


def events_received(page: str) -> int:
    name = 'chainbench_agent_events_received_total{stream="runqlat"} '
    [line] = [line for line in page.splitlines() if line.startswith(name)]
    return int(float(line.removeprefix(name)))
