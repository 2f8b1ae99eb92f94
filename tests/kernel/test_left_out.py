"""Requests that are not in the histograms: each of them is counted, with the reason."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import faults
from fakes.block_devices import Device, Direct, image, loop_device, zram_disk
from fakes.block_evidence import NEARLY_ALL, device_row, left_out, rows, total
from fakes.copied_package import Copy
from fakes.processes import stopped
from fakes.program import program
from fakes.real_agent import RealAgent

from agent.words import Json

BLOCKS = 400
TINY = 8 << 10
"""Bytes: two records of 64 requests, and one that is left to others."""


@pytest.fixture
def looped(tmp_path: Path, tool: Callable[[str], str]) -> Iterator[tuple[Device, Device]]:
    """A loop device on a file of another one. What a task writes to it, a kernel thread writes
    below."""
    with (
        loop_device(tool, image(tmp_path, 64, "lower")) as lower,
        loop_device(tool, lower.path, "--direct-io=on") as upper,
    ):
        yield upper, lower


def test_what_other_tasks_submit_is_counted(
    agent: RealAgent, looped: tuple[Device, Device]
) -> None:
    upper, _ = looped
    with (
        program("execs") as idle,
        Direct(upper.path) as direct,
        agent.run(scope=idle.scope, sections=["biolatency"]) as run,
    ):
        direct.write(BLOCKS)
    found = left_out(run.evidence)
    assert found["other_tasks"] >= NEARLY_ALL * BLOCKS
    assert run.evidence["completeness"]["streams"]["biolatency"]["excluded"] >= found["other_tasks"]
    assert rows(run.evidence, upper.number, by="tasks") == []


def test_bios_that_other_tasks_submit_are_counted(agent: RealAgent) -> None:
    with (
        program("execs") as idle,
        zram_disk(16) as device,
        Direct(device.path) as direct,
        agent.run(scope=idle.scope, sections=["biolatency"]) as run,
    ):
        direct.write(BLOCKS)
    assert left_out(run.evidence)["other_tasks"] >= BLOCKS
    assert run.evidence["completeness"]["streams"]["bios"]["excluded"] == BLOCKS
    assert rows(run.evidence, device.number) == []


def test_what_kernel_threads_submit_in_a_scope_is_counted_with_its_time(
    agent: RealAgent, looped: tuple[Device, Device]
) -> None:
    upper, lower = looped
    scope = {"pid": os.getpid()}
    with Direct(upper.path) as direct, agent.run(scope=scope, sections=["biolatency"]) as run:
        direct.write(BLOCKS)
    below = rows(run.evidence, lower.number, by="kernel_threads", operation="write")
    assert total(below) >= NEARLY_ALL * BLOCKS
    assert left_out(run.evidence)["kernel_threads"] >= total(below)
    [row] = reason_rows(run.evidence, "kernel_threads")
    assert row["device_ms"] >= sum(r["device_ms"] for r in below) > 0
    [row] = reason_rows(run.evidence, "other_tasks") or [{"device_ms": None}]
    assert row["device_ms"] is None


def reason_rows(evidence: Json, reason: str) -> list[Json]:
    return [row for row in evidence["biolatency"]["not_in_histogram"] if row["reason"] == reason]


@pytest.mark.thorough
@pytest.mark.parametrize("scoped", [True, False])
def test_folded_requests_are_in_the_histogram_or_counted_next_to_it(
    copy: Copy, looped: tuple[Device, Device], scoped: bool
) -> None:
    """The agent is stopped, and its ring full, while as many requests are a kernel thread's."""
    upper, _ = looped
    copy.inject(faults.small_ring, TINY)
    scope: Any = {"pid": os.getpid()} if scoped else "system"
    with copy.launched() as agent, Direct(upper.path) as direct:
        agent.settle()
        with agent.run(scope=scope, sections=["biolatency"]) as run, stopped(agent.pid):
            direct.write(BLOCKS)
    counts = run.evidence["completeness"]["streams"]["biolatency"]
    assert counts["lost"] == 0
    assert counts["folded"] > BLOCKS
    found = left_out(run.evidence)
    [reason] = [r for r in run.evidence["completeness"]["reasons"] if r.startswith("folded: ")]
    assert f"{counts['folded']:,} of {counts['produced']:,} events" in reason
    if scoped:
        assert found["folded"] >= BLOCKS / 4
        assert f"{found['folded']:,} of them in no histogram" in reason
        assert "checks" not in reason
    else:
        assert "block_ checks were left out" in reason
    assert not [c for c in run.evidence["checks"] if c["name"].startswith("block_")]
    assert device_row(run.evidence, upper.number)["in_diskstats"]["write"] >= BLOCKS
