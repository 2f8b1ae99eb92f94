"""Measuring a block of Python: whatever the agent does, the block's result is not lost to it."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from fakes.agent_server import FakeAgent, Request, ended, serving
from fakes.run_agent import ONE_RUN, RunAgent, ctrl_c_as_it_begins
from fakes.run_command import environment

from agent.client import MeasuredBlock, NoEvidenceWarning, collect, collecting, finding
from agent.client.http_client import AgentClient, AgentUnreachable

RESULT = "the block's result"


def nothing() -> None:
    pass


def measured(block: MeasuredBlock, work: Callable[[], object] = nothing) -> str:
    with block:
        work()
        return RESULT


async def measured_in_trio(block: MeasuredBlock, work: Callable[[], object] = nothing) -> str:
    async with block:
        await trio.lowlevel.checkpoint()
        work()
        return RESULT


def in_trio(block: MeasuredBlock, work: Callable[[], object] = nothing) -> str:
    return trio.run(measured_in_trio, block, work)


WAYS = pytest.mark.parametrize("way", [measured, in_trio])
Way = Callable[..., str]


def without_evidence(way: Way, block: MeasuredBlock, work: Callable[[], object] = nothing) -> str:
    """Run a block of which there is no evidence, and return why."""
    with pytest.warns(NoEvidenceWarning) as warned:
        assert way(block, work) == RESULT
    reason = str(block.evidence["reason"])
    assert block.evidence["available"] is False
    assert [str(one.message) for one in warned] == [f"no evidence: {reason}"]
    assert warned[0].filename == __file__, "where the block is"
    return reason


@pytest.fixture
def gone() -> Iterator[str]:
    """The URL of an agent that has ended."""
    with ended() as agent:
        yield agent.url


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of something that accepts connections and never answers."""
    monkeypatch.setattr(finding, "STATUS_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


# --- as it should be


@WAYS
def test_the_evidence_is_that_of_the_block(agent: RunAgent, way: Way) -> None:
    block = collect(agent.url, scenario="baseline", sections=["runqlat"])
    assert block.evidence == {"available": False, "reason": "the block has not ended yet"}
    assert way(block) == RESULT
    assert block.evidence == agent.evidence
    assert agent.routes == ONE_RUN
    assert b'"scenario": "baseline"' in agent.requests[1].body
    assert b'"sections": ["runqlat"]' in agent.requests[1].body
    assert agent.scopes == ["caller"]


@WAYS
def test_the_time_of_the_block_is_without_the_waiting_for_the_agent(
    agent: RunAgent, way: Way
) -> None:
    agent.busy = 2  # so the start takes two intervals of POLL_S
    block = collect(agent.url)
    assert block.block_ms is None
    began = time.monotonic()
    way(block, lambda: time.sleep(0.02))
    whole_ms = 1e3 * (time.monotonic() - began)
    assert block.block_ms is not None
    assert 20 <= block.block_ms <= whole_ms - 2e3 * collecting.POLL_S


def test_the_time_of_a_block_without_evidence_is_known(gone: str) -> None:
    block = collect(gone)
    without_evidence(measured, block, lambda: time.sleep(0.02))
    assert block.block_ms is not None
    assert block.block_ms >= 20


def test_an_agent_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with serving(RunAgent(), unix=path) as agent:
        block = collect(f"unix:{path}")
        measured(block)
    assert block.evidence == agent.evidence


@pytest.mark.parametrize("found_by", ["variable", "port"])
def test_without_a_url_it_is_found(
    agent: RunAgent, monkeypatch: pytest.MonkeyPatch, found_by: str
) -> None:
    monkeypatch.delenv("CHAINBENCH_AGENT", raising=False)
    if found_by == "variable":
        monkeypatch.setenv("CHAINBENCH_AGENT", agent.url)
    else:
        monkeypatch.setattr(finding, "PORT", int(agent.url.rpartition(":")[2]))
    block = collect()
    measured(block)
    assert block.evidence == agent.evidence


@WAYS
def test_it_waits_for_the_end_of_another_run(agent: RunAgent, way: Way) -> None:
    agent.busy = 2
    block = collect(agent.url)
    way(block)
    assert block.evidence == agent.evidence
    assert agent.routes.count("POST /start") == 3


def test_a_block_is_measured_once(agent: RunAgent) -> None:
    block = collect(agent.url)
    measured(block)
    with pytest.raises(RuntimeError, match="call it again"):
        measured(block)
    assert block.evidence == agent.evidence


def test_what_is_no_url_is_an_error_before_anything_runs() -> None:
    with pytest.raises(ValueError, match="expected http://HOST:PORT or unix:/PATH"):
        collect("localhost:9090")


HEAVY = {"numpy", "trio", "asyncio", "subprocess", "ssl", "http.client", "email", "dataclasses"}


def test_it_is_cheap_to_import() -> None:
    code = "import sys; from agent.client import collect; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "agent.client.collecting" in loaded
    assert not loaded & HEAVY


# --- the agent is missing, slow, busy, or dies


@WAYS
def test_an_agent_that_is_missing(gone: str, way: Way) -> None:
    reason = without_evidence(way, collect(gone))
    assert reason == f"no answer from {gone}: Connection refused (of the argument url)"


def test_none_anywhere(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAINBENCH_AGENT", raising=False)
    monkeypatch.setattr(finding, "PORT", int(gone.rpartition(":")[2]))
    assert "CHAINBENCH_AGENT names none" in without_evidence(measured, collect())
    monkeypatch.setenv("CHAINBENCH_AGENT", "nonsense")
    assert "nonsense is not the URL of an agent" in without_evidence(measured, collect())


@WAYS
def test_one_that_never_answers(silent: str, way: Way) -> None:
    assert "timed out" in without_evidence(way, collect(silent))


@WAYS
def test_one_that_is_too_slow_to_start(agent: RunAgent, way: Way) -> None:
    answered = threading.Event()
    agent.on_request = lambda request: request.route == "POST /start" and answered.wait()
    block = collect(agent.url, timeout_s=0.1)
    try:
        assert "timed out" in without_evidence(way, block)
    finally:
        answered.set()


def test_an_answer_that_trickles_in_is_not_awaited_for_ever() -> None:
    def serve() -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):  # the client has gone already
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not over.wait(0.01):
                connection.sendall(b" ")

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        client = AgentClient(f"http://127.0.0.1:{listening.getsockname()[1]}", timeout_s=0.2)
        try:
            with pytest.raises(AgentUnreachable, match="timed out"):
                client.get("/status")
        finally:
            over.set()
            thread.join()


@WAYS
def test_one_that_is_busy(agent: RunAgent, way: Way) -> None:
    agent.busy = 10**6
    reason = without_evidence(way, collect(agent.url, wait_s=0.2))
    assert reason.startswith("another run did not end in 0.2 s (wait_s): run r-0 is in progress")
    assert f"curl -X POST {agent.url}/stop" in reason
    assert "POST /stop" not in agent.routes


@WAYS
def test_one_that_refuses(agent: RunAgent, way: Way) -> None:
    agent.refuse_start = True
    reason = without_evidence(way, collect(agent.url))
    assert reason == "the agent refused: there is no process 1"
    assert "POST /stop" not in agent.routes


@WAYS
def test_one_that_dies_meanwhile(way: Way) -> None:
    with contextlib.ExitStack() as stack:
        agent = stack.enter_context(serving(RunAgent()))
        reason = without_evidence(way, collect(agent.url), work=stack.close)
    assert reason.startswith("the evidence is lost, unless the agent was asked to end")
    assert "Connection refused" in reason


@pytest.mark.parametrize("answer", [["no", "object"], {"neither": 1}, {"available": "yes"}, {}])
def test_one_that_answers_with_no_evidence(agent: RunAgent, answer: Any) -> None:
    agent.evidence = answer
    without_evidence(measured, collect(agent.url))


def test_one_that_cannot_measure(agent: RunAgent) -> None:
    agent.lacking = "CAP_BPF is missing"
    agent.evidence = {"available": False, "reason": agent.lacking, "run_id": "run-1"}
    block = collect(agent.url)
    assert without_evidence(measured, block) == agent.lacking
    assert block.evidence == agent.evidence


def test_a_run_that_somebody_else_has_ended_is_invalid(agent: RunAgent) -> None:
    def take_over() -> None:
        agent.run_id = "theirs"

    block = collect(agent.url)
    measured(block, take_over)
    assert block.evidence["completeness"]["verdict"] == "invalid"
    assert agent.routes[-1] == "GET /evidence/run-1"


def test_another_service_is_only_asked_and_its_page_cut_to_a_line() -> None:
    class Another(FakeAgent):
        def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
            self.requests.append(request)
            return 404, {"page": "\x1b[31m\n" * 1000}

    with serving(Another()) as other:
        reason = without_evidence(measured, collect(other.url))
    assert other.routes == ["GET /status"]
    assert len(reason) < 600
    assert reason.isprintable()


def test_a_defect_of_ours_is_named_also_if_the_run_cannot_be_ended_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Defective:
        def begin(self, body: object) -> None:
            raise KeyError("begin")

        def close(self) -> None:
            raise ValueError("close")

    monkeypatch.setattr(collecting, "run_of", lambda urls, timeout_s: Defective())
    reason = without_evidence(measured, collect())
    assert reason == "KeyError: 'begin'; the run could not be ended: ValueError: close"


@WAYS
def test_warnings_that_are_errors_do_not_lose_the_result(
    gone: str, way: Way, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert way(collect(gone)) == RESULT
    assert capsys.readouterr().err.startswith("NoEvidenceWarning: no evidence: no answer from")


# --- the block


class Failure(Exception):
    pass


async def fails_in_trio(block: MeasuredBlock) -> None:
    async with block:
        raise Failure("its own")


def fails(block: MeasuredBlock) -> None:
    with block:
        raise Failure("its own")


@pytest.mark.parametrize("way", [fails, lambda block: trio.run(fails_in_trio, block)])
def test_an_exception_of_the_block_is_untouched_and_the_run_is_ended(
    agent: RunAgent, gone: str, way: Callable[[MeasuredBlock], None]
) -> None:
    block = collect(agent.url)
    with pytest.raises(Failure, match=r"^its own$") as raised:
        way(block)
    assert raised.value.__context__ is None
    assert agent.routes == ONE_RUN
    assert block.evidence == agent.evidence
    with pytest.raises(Failure), pytest.warns(NoEvidenceWarning):
        way(collect(gone))


FORKS = """
import os, sys
from agent.client import collect

with collect() as run:
    if not (child := os.fork()):
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print(run.evidence["available"])
"""


def test_a_fork_that_leaves_the_block_does_not_end_the_run(agent: RunAgent) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKS],
        env=environment(CHAINBENCH_AGENT=agent.url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert agent.routes == ONE_RUN


def test_ctrl_c_while_the_run_begins_leaves_no_run(agent: RunAgent) -> None:
    with ctrl_c_as_it_begins(agent):
        measured(collect(agent.url))
    assert agent.routes == ONE_RUN
