"""What a comparison measures beyond what was asked for, where the agent has it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from fakes.agent_server import Request, serving
from fakes.collector import FakeCollector
from fakes.run_agent import RunAgent
from fakes.series import series

from agent.aggregate.series import SeriesStore
from agent.client.http_client import AgentClient
from agent.http.app import create_app
from agent.http.settings import HttpSettings
from agent.recording.recorder import Recorder
from agent.run import options
from agent.run.agents import known_details
from agent.sections.offcpu import probe
from agent.sections.probes import DETAILS


def described(*details: str) -> dict[str, Any]:
    """Return as much of ``/openapi.json`` as says which details there are."""
    forms = [{"type": "array", "items": {"enum": list(details)}}, {"type": "null"}]
    properties = {"details": {"anyOf": forms}}
    return {"components": {"schemas": {"StartBody": {"properties": properties}}}}


class Older(RunAgent):
    """An agent that refuses what it does not know, as every agent does."""

    knows: tuple[str, ...] = ("syscalls",)

    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        if request.route == "GET /openapi.json":
            return 200, described(*self.knows)
        asked = json.loads(request.body or b"{}").get("details", [])
        if request.route == "POST /start" and not set(asked) <= set(self.knows):
            self.requests.append(request)
            return 400, {"error": "invalid_field", "message": "no such detail", "field": "details"}
        return super().answer(request)


@pytest.fixture
def agent() -> Iterator[Older]:
    with serving(Older()) as fake:
        yield fake


def details_asked(agent: RunAgent) -> list[Any]:
    starts = [json.loads(r.body) for r in agent.requests if r.route == "POST /start"]
    return [start.get("details") for start in starts]


@pytest.mark.parametrize(
    ("knows", "asked"),
    [(("syscalls",), None), (("syscalls", "waking"), ["waking"])],
    ids=["older", "of this version"],
)
def test_an_agent_of_an_earlier_version_measures_what_it_can(
    agent: Older, tmp_path: Path, knows: tuple[str, ...], asked: list[str] | None
) -> None:
    agent.knows = knows
    options = ("--baseline", "true", "--optimized", "true", "--runs", 1)
    done = series(agent.url, tmp_path / "series.json", *options)
    assert [run["evidence"]["available"] for run in done.counted] == [True, True]
    assert details_asked(agent) == [asked] * 3, "one is a rehearsal"


def test_what_was_asked_for_by_name_is_asked_of_any_agent(agent: Older, tmp_path: Path) -> None:
    options = ("--baseline", "true", "--optimized", "true", "--runs", 1, "--details", "waking")
    done = series(agent.url, tmp_path / "series.json", *options)
    refused = "no evidence of this run or any later one: the agent refused: no such detail"
    assert refused in done.said
    assert details_asked(agent) == [["waking"]]


class Describing:
    """A client of an agent that describes its requests like this."""

    def __init__(self, found: Any, *, mock: bool = False) -> None:
        self._found = found
        self._mock = mock

    def get(self, path: str) -> Any:
        return {"/openapi.json": self._found, "/status": {"mock": self._mock}}[path]


@pytest.mark.parametrize("found", [{}, {"components": None}, described(), {"components": []}])
def test_any_description_will_do(found: Any) -> None:
    known = [] if found == described() else ["waking"]
    assert known_details(cast("AgentClient", Describing(found)), ["waking"]) == known


def test_synthetic_events_have_no_details_and_a_run_is_not_degraded_for_that() -> None:
    agent = cast("AgentClient", Describing({}, mock=True))
    assert known_details(agent, ["waking"]) == []


async def test_this_versions_agent_describes_its_details_there() -> None:
    app = create_app(Recorder(FakeCollector(), "box", SeriesStore()), HttpSettings())
    answer = await app.test_client().get("/openapi.json")
    agent = cast("AgentClient", Describing(await answer.get_json()))
    assert known_details(agent, [*DETAILS, "other"]) == list(DETAILS)


def test_the_names_are_those_of_the_section_which_a_command_does_not_wait_to_import() -> None:
    assert (probe.WAKING.name, probe.PROBE.name) == (options.WAKING, options.OF_WAKING)
