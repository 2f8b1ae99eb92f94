"""What cannot be measured is said before anybody has waited for a round."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes.overhead import FakeConfiguration, FakeWorkload, WillingAgent, World

from agent.overhead.command import run_overhead
from agent.overhead.results import Result
from agent.overhead.trial import not_armed
from agent.sections.probes import SECTIONS

CAUSE = "CAP_BPF is missing. Run the agent as root."
OVERHEAD = "chainbench-agent overhead: "

Refuses = Callable[[list[str]], dict[str, str]]
"""Why sections of a run are unavailable, from those that it is to collect."""


class RefusingAgent(WillingAgent):
    """An agent that cannot collect some sections, and says why."""

    def __init__(self, refuses: Refuses) -> None:
        super().__init__()
        self._refuses = refuses

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer = super().post(path, body)
        if path == "/start":
            wanted = (body or {})["sections"]
            missing = self._refuses(wanted)
            for name in missing:
                del self.evidence[name]
            self.evidence["unavailable"] = missing
            if len(missing) == len(wanted):
                reason = missing[wanted[0]]
                self.evidence = {"available": False, "reason": reason}
        return answer

    @property
    def starts(self) -> list[list[str]]:
        return [body["sections"] for path, body in self.asked if path == "/start"]


Overhead = Callable[..., tuple[int, str, str]]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def overhead(monkeypatch: pytest.MonkeyPatch, world: World) -> Overhead:
    """Measure a pretended workload for six rounds with the agent that is given."""

    def run(given: WillingAgent, **options: Any) -> tuple[int, str, str]:
        @contextmanager
        def agent(_arguments: object) -> Iterator[WillingAgent]:
            yield given

        monkeypatch.setattr("agent.overhead.command.running_agent", agent)
        monkeypatch.setattr("agent.overhead.command.PingPong", lambda: FakeWorkload(world))
        out, said = io.StringIO(), io.StringIO()
        status = run_overhead(None, rounds=6, out=out, progress=said, **options)
        return status, out.getvalue(), said.getvalue()

    return run


def test_where_nothing_can_be_measured_one_line_says_why_and_nothing_is_run(
    overhead: Overhead, world: World, tmp_path: Path
) -> None:
    file = tmp_path / "result.json"
    agent = RefusingAgent(lambda wanted: dict.fromkeys(wanted, CAUSE))
    status, out, said = overhead(agent, json_file=file)
    assert (status, out) == (1, "")
    assert said == f"{OVERHEAD}nothing can be measured: {CAUSE}\n"
    assert world.log == [], "neither a round nor what prepares the workload"
    assert not file.exists()


def test_of_several_causes_of_nothing_the_most_common_one_is_told(
    overhead: Overhead, world: World
) -> None:
    agent = RefusingAgent(
        lambda wanted: {name: "arm: EMFILE" if name == SECTIONS[0] else CAUSE for name in wanted}
    )
    status, out, said = overhead(agent)
    assert (status, out, world.log) == (1, "", [])
    assert said == f"{OVERHEAD}nothing can be measured: {CAUSE}\n"


def test_what_alone_cannot_be_measured_is_named_before_the_rounds(
    overhead: Overhead, tmp_path: Path
) -> None:
    file = tmp_path / "result.json"
    agent = RefusingAgent(lambda wanted: {n: "no probe" for n in wanted if n == "softirq"})
    status, out, said = overhead(agent, json_file=file)
    assert status == 0
    first, second, third, *_ = said.splitlines()
    assert first == f"{OVERHEAD}not everything can be measured:"
    assert second == "softirq: no probe"
    assert third.startswith("fake: 0/")
    assert "skipped: softirq: no probe" in out
    [workload] = Result.from_json(json.loads(file.read_text())).workloads
    assert {one.name for one in workload.measured} == {"nothing", *SECTIONS, "all"} - {"softirq"}
    assert {len(one.pairs) for one in workload.measured} == {6}
    assert list(workload.skipped) == ["softirq"]
    # in the trial together and alone, and never again
    assert sum("softirq" in wanted for wanted in agent.starts) == 2


def test_what_works_only_alone_is_measured_alone(overhead: Overhead) -> None:
    agent = RefusingAgent(
        lambda wanted: dict.fromkeys(wanted, "too many files") if len(wanted) > 1 else {}
    )
    status, out, said = overhead(agent)
    assert status == 0
    assert said.splitlines()[1] == "all: too many files"
    assert "skipped: all: too many files" in out


def test_where_all_can_be_measured_one_run_finds_it_out(overhead: Overhead) -> None:
    agent = WillingAgent()
    status, _, said = overhead(agent)
    assert status == 0
    assert said.startswith("fake: 0/")
    starts = [body["sections"] for path, body in agent.asked if path == "/start"]
    assert starts[0] == list(SECTIONS)
    assert len(starts) == 1 + 7 * (len(SECTIONS) + 1)


def test_each_is_tried_only_if_they_do_not_work_together() -> None:
    world = World()
    one = FakeConfiguration(world, "one", fails_at=frozenset({0}))
    other = FakeConfiguration(world, "other")
    assert not_armed(FakeConfiguration(world, "both"), [one, other]) == {}
    assert (one.armings, other.armings) == (0, 0)
    both = FakeConfiguration(world, "both", fails_at=frozenset({0}))
    missing = not_armed(both, [one, other])
    assert {name: why.reason for name, why in missing.items()} == {"one": "would not attach"}
    assert "run" not in world.log
