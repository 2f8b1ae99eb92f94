"""Blocks of Python that a real agent measures, and real agents that fail meanwhile."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import trio
from fakes.marks import MARKS, marks
from fakes.processes import Launched, stopped
from fakes.real_agent import RealAgent, running
from fakes.users import OTHER, as_reading_user, as_root

from agent.client import NoEvidenceWarning, collect


@pytest.fixture(scope="module")
def agent() -> Iterator[RealAgent]:
    with running() as agent:
        yield agent


def mark() -> None:
    for _ in range(MARKS):
        os.getpgid(0)


def test_what_the_process_its_threads_and_its_children_do(agent: RealAgent) -> None:
    mark()
    with collect(agent.url, scenario="baseline") as run:
        thread = threading.Thread(target=mark)
        thread.start()
        thread.join()
        if not (child := os.fork()):
            mark()
            os._exit(0)
        os.waitpid(child, 0)
        subprocess.run(["true"], check=True)
    mark()
    assert run.evidence["scope"]["pid"] == os.getpid()
    assert run.evidence["labels"]["scenario"] == "baseline"
    assert marks(run.evidence) == 2 * MARKS
    assert run.evidence["exec"]["exec_count"] == 1


async def test_in_trio(agent: RealAgent) -> None:
    async with collect(agent.url) as run, trio.open_nursery() as nursery:
        nursery.start_soon(trio.run_process, ["true"])
        mark()
    assert marks(run.evidence) == MARKS
    assert run.evidence["exec"]["exec_count"] == 1


def test_blocks_of_several_threads_follow_one_another(agent: RealAgent) -> None:
    found: list[str] = []

    def measured() -> None:
        with collect(agent.url, wait_s=60) as run:
            mark()
        assert marks(run.evidence) >= MARKS
        found.append(run.evidence["run_id"])

    threads = [threading.Thread(target=measured) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 3


def test_a_block_within_a_block_finds_the_agent_busy(agent: RealAgent) -> None:
    with collect(agent.url) as outer:
        inner = collect(agent.url, wait_s=0)
        with pytest.warns(NoEvidenceWarning, match="another run did not end"), inner:
            mark()
        mark()
    assert inner.evidence["available"] is False
    assert marks(outer.evidence) == 2 * MARKS


OF_A_USER = """
import os, sys
from agent.client import collect

with collect(sys.argv[1]) as run:
    os.getpgid(0)
print(run.evidence["scope"]["pid"] == os.getpid(), run.evidence["syscall_counts"]["all"]["getpgid"])
"""


@pytest.mark.thorough
@as_root
def test_an_ordinary_user_over_the_socket_of_a_service() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        with running(["--socket", f"{folder}/s", "--socket-mode", "0666"]):
            command = [*as_reading_user(OTHER), sys.executable, "-Werror", "-c", OF_A_USER]
            done = subprocess.run(
                [*command, f"unix:{folder}/s"], cwd="/", stdout=subprocess.PIPE, check=True
            )
    assert done.stdout == b"True 1\n"


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_agent_that_ends_meanwhile(own_agent: Launched, number: int) -> None:
    def end() -> None:
        os.kill(own_agent.pid, number)
        own_agent.process.wait()

    with pytest.warns(NoEvidenceWarning, match="is lost"), collect(own_agent.url) as run:
        end()
    assert "no answer from" in run.evidence["reason"]


@pytest.mark.thorough
def test_an_agent_that_loses_what_it_measures_with(own_agent: Launched) -> None:
    with collect(own_agent.url) as run:
        own_agent.process.kill()
        own_agent.process.wait()
        mark()
    assert run.evidence["completeness"]["verdict"] == "invalid"


@pytest.mark.thorough
def test_an_agent_that_hangs(own_agent: Launched) -> None:
    with ExitStack() as stack:
        block = collect(own_agent.url, timeout_s=0.5)
        with pytest.warns(NoEvidenceWarning, match="timed out"), block:
            stack.enter_context(stopped(own_agent.pid))
        assert block.evidence["available"] is False
        with pytest.warns(NoEvidenceWarning, match="timed out"), collect(own_agent.url):
            pass
