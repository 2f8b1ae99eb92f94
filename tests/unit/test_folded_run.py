"""The configuration whose agent is stopped: it must have folded, and it always runs again."""

import os
import signal
from typing import Any

import pytest
from fakes.overhead import FakeAgent

from agent.overhead.protocols import CannotMeasure
from benchmarks.folded_run import FILLING_TURNS, FoldedRun

SERVING = 4_000_000_000
"""No process has this number."""


class Stoppable(FakeAgent):
    def get(self, path: str) -> dict[str, Any]:
        return {"processes": [{"role": "agent", "pid": SERVING}]}


def agent(folded: int) -> Stoppable:
    counts = {"received": 4 * FILLING_TURNS, "folded": folded}
    completeness = {"verdict": "complete", "reasons": [], "streams": {"runqlat": counts}}
    return Stoppable({"available": True, "runqlat": {}, "completeness": completeness})


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals sent to the serving process. The buffer is not really filled."""
    sent: list[int] = []

    def kill(pid: int, number: int) -> None:
        assert pid == SERVING
        sent.append(number)

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(FoldedRun, "_fill", lambda self: None)
    return sent


def test_the_agent_is_stopped_and_runs_again(signals: list[int]) -> None:
    with FoldedRun(agent(3 * FILLING_TURNS)).armed():
        assert signals == [signal.SIGSTOP]
    assert signals == [signal.SIGSTOP, signal.SIGCONT]


def test_the_agent_runs_again_even_if_the_workload_fails(signals: list[int]) -> None:
    with pytest.raises(ZeroDivisionError), FoldedRun(agent(3 * FILLING_TURNS)).armed():
        raise ZeroDivisionError
    assert signals[-1] == signal.SIGCONT


@pytest.mark.usefixtures("signals")
def test_what_was_streamed_cannot_pass_for_folded() -> None:
    with pytest.raises(CannotMeasure, match="were folded"), FoldedRun(agent(10)).armed():
        pass
