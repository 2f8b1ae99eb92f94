"""Runs of milliseconds, one after another: what their edges cut in two is no error of ours.

Almost every turn and wait in such a run began before it or is still open at its stop.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from fakes import faults
from fakes.checks import checks_of, codes, spoilt
from fakes.copied_package import Copy
from fakes.real_agent import RealAgent

from agent.model import TIMINGS
from agent.streams.shared.kernel_counts import read_kernel_counts
from agent.words import Json

RUNS = 20
SPINNERS = 4
SPIN = "while :; do :; done"
SPIN_AND_FORK = f"for i in $(seq {SPINNERS}); do ({SPIN}) & done; while :; do /bin/true; done"
BY_EDGES = ("run_queue_wait", "tasks_with_run_queue_wait", "lifetimes")
ALLOWED, ALLOWED_AT_MOST = 1, RUNS // 4
"""Of all runs: a hypervisor may take a CPU away between the kernel's clock read and ours. One more
for each tick that it took in all of them: a run of milliseconds does not see a part of a tick, and
allows none for it."""


@contextmanager
def more_tasks_than_cpus() -> Iterator[int]:
    """Yield the process whose tree they are."""
    with ExitStack() as ended:
        load = subprocess.Popen(["/bin/sh", "-c", SPIN_AND_FORK], start_new_session=True)
        ended.callback(load.wait)
        ended.callback(subprocess.run, ["pkill", "-KILL", "-s", str(load.pid)], check=True)
        yield load.pid


def assert_next_to_none_fail(agent: RealAgent, **body: Any) -> None:
    """Make runs that last no longer than it takes to ask, and count how often each check fails."""
    found: Counter[str] = Counter()
    before = read_kernel_counts().stolen_ticks
    for _ in range(RUNS):
        with agent.run(**body) as run:
            pass
        if not spoilt(run.evidence):
            found.update(failures(run.evidence))
    stolen = read_kernel_counts().stolen_ticks - before
    assert found.total() <= min(ALLOWED + stolen, ALLOWED_AT_MOST), (found, stolen)


def failures(evidence: Json) -> list[str]:
    checks = checks_of(evidence)
    return [name for name in BY_EDGES if name in checks and not checks[name]["pass"]]


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize(
    "sections",
    [["runqlat", "offcpu"], pytest.param(["runqlat"], marks=pytest.mark.thorough)],
    ids="+".join,
)
def test_of_the_whole_machine(agent: RealAgent, sections: list[str], timing: str) -> None:
    """Half of the runs were `degraded`, with timing by accounting nearly all."""
    with more_tasks_than_cpus():
        assert_next_to_none_fail(agent, sections=sections, timing=timing)


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.thorough
def test_of_a_tree(agent: RealAgent, timing: str) -> None:
    with more_tasks_than_cpus() as root:
        assert_next_to_none_fail(agent, scope={"pid": root}, timing=timing)


SLOWLY_SECONDS = 0.1
THREADS = 60
SLEEPERS = f"""
import threading, time
def sleep():
    while True:
        time.sleep(0.02)
for _ in range({THREADS}):
    threading.Thread(target=sleep).start()
"""


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_what_began_before_everything_was_attached_is_no_unmatched_end(
    copy: Copy, timing: str
) -> None:
    """A busy machine switches many tasks between the first program and the look at every task."""
    copy.inject(faults.attaches_slowly, SLOWLY_SECONDS)
    with copy.launched() as agent:
        agent.settle()
        with subprocess.Popen([sys.executable, "-c", SLEEPERS]) as sleepers:
            try:
                with agent.run(timing=timing) as run:
                    pass
            finally:
                sleepers.kill()
    streams = run.evidence["completeness"]["streams"]
    assert streams["runqlat"]["in_flight_at_start"] >= THREADS
    for stream in ("runqlat", "offcpu"):
        assert streams[stream]["unmatched"] < THREADS / 2, streams[stream]
    assert "unmatched" not in codes(run.evidence)
