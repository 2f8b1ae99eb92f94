"""Runs that an agent keeps, as ``runs --agent`` and ``compare --agent`` find them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from fakes.command_line import exit_status
from fakes.groups import good_evidence

from agent.cli import main
from agent.client.http_client import AgentRefused, AgentUnreachable
from agent.runs import agent_commands, of_agent
from agent.runs.of_agent import RunsOfAgent
from agent.store.documents import runs_of
from agent.store.errors import StoreError


class Service:
    """Answers as an agent with --data-dir does; ``ids`` are those of its runs, the newest first."""

    def __init__(self, *ids: str, page: int = 2) -> None:
        self.ids = ids
        self.page = page
        self.asked: list[dict[str, str]] = []
        self.failure: Exception | None = None
        self.refusals: dict[str, Exception] = {}

    def delete(self, path: str) -> Mapping[str, Any]:
        run_id = unquote(path.removeprefix("/runs/"))
        if failure := self.refusals.get(run_id):
            raise failure
        self.ids = tuple(kept for kept in self.ids if kept != run_id)
        return {"status": "deleted", "run_id": run_id}

    def get(self, path: str) -> Mapping[str, Any]:
        if self.failure:
            raise self.failure
        where = urlsplit(path)
        if where.path != "/runs":
            run_id = unquote(where.path.removeprefix("/runs/"))
            return good_evidence(run_id=run_id, state="finished")
        self.asked.append(dict(parse_qsl(where.query, keep_blank_values=True)))
        begin = int(self.asked[-1].get("before", "0"))
        shown = self.ids[begin : begin + self.page]
        more = begin + self.page < len(self.ids)
        rows = [{"run_id": run_id} for run_id in shown]
        return {"runs": rows, "next": str(begin + self.page) if more else None}


def ids(runs: Any) -> list[str]:
    return [run.id for run in runs]


def test_a_run_is_named_by_the_beginning_of_its_id() -> None:
    library = RunsOfAgent(Service("aaaa-1111", "bbbb-2222", "bbbb-3333"))
    assert ids(library.named("aaaa")) == ["aaaa-1111"]
    assert ids(library.named("bbbb-3")) == ["bbbb-3333"]


def test_the_newest_is_last() -> None:
    library = RunsOfAgent(Service("newest", "second", "oldest"))
    assert ids(library.named("last")) == ["newest"]
    assert ids(library.named("last~2")) == ["oldest"]


def test_labels_are_asked_for_and_all_pages_read() -> None:
    service = Service("run-three", "run-two-2", "run-one-1")
    runs = RunsOfAgent(service).selected({"commit": "a&b=c", "verdict": "complete"})
    assert ids(runs) == ["run-one-1", "run-two-2", "run-three"]
    first, second = service.asked
    assert first == {"commit": "a&b=c", "verdict": "complete", "limit": str(of_agent.PAGE)}
    assert second == {**first, "before": "2"}


@pytest.mark.parametrize(
    ("at", "asked"),
    [
        (0.0, "1970-01-01T00:00:00.000+00:00"),
        (-1e12, "0001-01-01T00:00:00.000+00:00"),
        (1e12, "9999-12-31T23:59:59.000+00:00"),
    ],
)
def test_any_time_is_asked_for(at: float, asked: str) -> None:
    service = Service()
    assert list(RunsOfAgent(service).listed({}, since=at, until=at)) == []
    assert service.asked == [{"since": asked, "until": asked, "limit": str(of_agent.PAGE)}]


def test_a_list_that_leads_back_is_refused() -> None:
    class Circle(Service):
        def get(self, path: str) -> Mapping[str, Any]:
            super().get(path)
            return {"runs": [{"run_id": "aaaa-1111"}], "next": str(len(self.asked) % 3)}

    circle = Circle()
    with pytest.raises(StoreError, match="leads back"):
        list(RunsOfAgent(circle).listed({}))
    assert len(circle.asked) == 4


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bbbb", "bbbb is the beginning of 2 ids: give more of it"),
        ("cccc", "cccc is the beginning of no id that the agent keeps"),
        ("aaa", "'aaa' is too short"),
        ("", "'' is too short"),
        ("last~3", "there is no last~3: the agent keeps fewer"),
    ],
)
def test_what_is_not_clear_is_told(name: str, said: str) -> None:
    library = RunsOfAgent(Service("aaaa-1111", "bbbb-2222", "bbbb-3333"))
    with pytest.raises(StoreError, match=said):
        library.named(name)


def test_an_agent_knows_of_no_series() -> None:
    with pytest.raises(StoreError, match="does not select runs by series; it does by scenario"):
        RunsOfAgent(Service()).selected({"series": "x"})


@pytest.mark.parametrize(
    "failure",
    [
        AgentRefused(404, "no_store", "start it with --data-dir"),
        AgentUnreachable("no answer from http://x: \x1b[31m"),
    ],
)
def test_an_agent_that_does_not_answer_is_told(failure: Exception) -> None:
    service = Service()
    service.failure = failure
    with pytest.raises(StoreError) as error:
        RunsOfAgent(service).named("last")
    assert str(error.value).isprintable()
    assert str(failure)[:10] in str(error.value)


# --- runs --agent


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    found = Service("cccc-3333", "bbbb-2222", "aaaa-1111")
    monkeypatch.setattr(agent_commands.AgentClient, "named", lambda url: found)
    return found


def runs(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    action, *rest = map(str, arguments)
    status = main(["runs", action, "--agent", "http://a:1", *rest])
    return (status, *capsys.readouterr())


def test_what_an_agent_keeps_is_listed(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = runs(capsys, "list", "variant=x", "--since", "2026-03-01T10:00:00+00:00")
    assert (status, err) == (0, "")
    header, *rows = out.splitlines()
    assert header.split() == ["id", "started", "runs", "time", "verdict", "what"]
    assert [row.split()[0] for row in rows] == ["cccc-333", "bbbb-222", "aaaa-111"]
    assert service.asked[0]["variant"] == "x"
    assert service.asked[0]["since"] == "2026-03-01T10:00:00.000+00:00"
    assert runs(capsys, "list", "--limit", 2)[1].endswith("1 more: --limit 0 lists all\n")


def test_a_list_for_scripts_is_what_the_agent_answers(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = runs(capsys, "list", "--json")
    assert json.loads(out) == {"runs": [{"run_id": run_id} for run_id in service.ids]}
    assert len(json.loads(runs(capsys, "list", "--json", "--limit", 1)[1])["runs"]) == 1


def test_what_an_agent_keeps_is_shown_and_exported(
    service: Service, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "run       bbbb-2222" in runs(capsys, "show", "bbbb")[1]
    [run] = runs_of(json.loads(runs(capsys, "export", "last")[1]), "import")
    assert run.id == "cccc-3333"
    assert "3 files written" in runs(capsys, "export", "variant=x", "--into", tmp_path)[1]
    assert {file.stem for file in tmp_path.iterdir()} == set(service.ids)


def test_a_selector_shows_what_only_one_has(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.ids = ("bbbb-2222",)
    assert "run       bbbb-2222" in runs(capsys, "show", "variant=x")[1]
    assert service.asked[0]["variant"] == "x"
    service.ids = ()
    assert "no run that the agent keeps has all of that" in runs(capsys, "show", "variant=x")[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "series=x"], "an agent does not select runs by series"),
        (["show", "zzzz"], "of no id that the agent keeps"),
        (["show", "variant=x"], "3 have all of that (cccc-333, bbbb-222, aaaa-111): show one"),
        (["export", "aaaa", "bbbb"], "that is 2 files: say --into FOLDER"),
    ],
)
def test_what_cannot_be_done_with_an_agents_runs_is_said(
    service: Service, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    status, out, err = runs(capsys, *arguments)
    assert (status, out) == (1, "")
    assert said in err
    assert err.count("\n") == 1


def test_what_an_agent_keeps_is_deleted(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = runs(capsys, "delete", "last", "cccc", "aaaa")
    assert (status, out, err) == (0, "deleted 2 runs: cccc-333, aaaa-111\n", "")
    assert service.ids == ("bbbb-2222",)
    assert runs(capsys, "delete", "variant=x", "--until", "1d")[1] == "deleted 1 run: bbbb-222\n"
    assert service.asked[-1]["variant"] == "x"
    assert service.asked[-1].keys() >= {"until"}
    assert service.ids == ()
    status, out, err = runs(capsys, "delete", "variant=x")
    assert (status, out) == (1, "")
    assert "no run that the agent keeps has all of that" in err


@pytest.mark.parametrize(("status", "code"), [(404, "no_such_run"), (409, "run_in_progress")])
def test_one_that_cannot_be_deleted_is_named_and_the_others_are(
    service: Service, capsys: pytest.CaptureFixture[str], status: int, code: str
) -> None:
    service.refusals["bbbb-2222"] = AgentRefused(status, code, "not this one")
    found = runs(capsys, "delete", "variant=x")
    assert found == (
        1,
        "deleted 2 runs: aaaa-111, cccc-333\n",
        "bbbb-222 is not deleted: not this one\n",
    )


@pytest.mark.parametrize(
    "failure",
    [AgentRefused(403, "token_needed", "with a token only"), AgentUnreachable("no answer")],
)
def test_what_is_refused_for_all_is_asked_once(
    service: Service, capsys: pytest.CaptureFixture[str], failure: Exception
) -> None:
    service.refusals["bbbb-2222"] = failure
    status, out, err = runs(capsys, "delete", "variant=x")
    assert (status, out) == (1, "deleted 1 run: aaaa-111\n")
    assert err.startswith("chainbench-agent runs delete: ")
    assert service.ids == ("cccc-3333", "bbbb-2222")


def test_of_two_agents_none_is_left_out_silently(capsys: pytest.CaptureFixture[str]) -> None:
    urls = ("--agent", "http://a:1", "--agent", "http://b:1")
    assert exit_status(["runs", "delete", *urls, "last"]) == 2
    assert "argument --agent: there can be one only" in capsys.readouterr().err
