"""``chainbench-agent run`` with several agents: all begin before the command, all end after it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from fakes.agent_server import FakeAgent, Request, ended, serving
from fakes.fleet import machines, of_machine
from fakes.run_agent import RunAgent
from fakes.run_command import finished, line

from agent.terminal.width import cells
from agent.this_machine import boot_id

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

STATUS, START, STOP = "GET /status", "POST /start", "POST /stop"


def run(
    agents: Sequence[FakeAgent],
    file: Path,
    *options: object,
    command: str = "exit 7",
    status: int = 7,
) -> "CompletedProcess[str]":
    named = [word for agent in agents for word in ("--agent", agent.url)]
    done = finished(line("run", *named, "--json", file, *options, "--", "sh", "-c", command))
    assert done.returncode == status, done.stderr
    report = [told for told in done.stderr.splitlines() if not told.startswith("chainbench-agent")]
    assert max(map(cells, report)) <= 80
    return done


def saved(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def rows(file: Path) -> dict[str, dict[str, Any]]:
    return {row["machine"]: row for row in saved(file)["fleet"]["machines"]}


def words(text: str) -> str:
    return " ".join(text.split())


def test_all_begin_before_the_command_and_end_after_it(tmp_path: Path) -> None:
    done_file, seen = tmp_path / "done", []

    def note(request: Request) -> None:
        if request.route in (START, STOP):
            seen.append((request.route, done_file.exists()))

    with machines("db", "proxy") as found:
        for agent in found.values():
            agent.on_request = note
        run(list(found.values()), tmp_path / "x.json", command=f"touch {done_file}; exit 7")
    assert seen == [(START, False)] * 3 + [(STOP, True)] * 3


@pytest.mark.thorough
def test_the_command_is_measured_here_and_the_whole_of_the_other_machines(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    with machines("db", "proxy") as found:
        done = run(list(found.values()), file, "--scenario", "baseline")
        assert found["here"].scopes[0]["pid"] > 1
        assert [found[name].scopes for name in ("db", "proxy")] == [["system"], ["system"]]
        for agent in found.values():
            [start] = [json.loads(r.body) for r in agent.requests if r.route == START]
            assert (start["scenario"], start["kept_by"]) == ("baseline", "client")
    document = saved(file)
    assert document["command"]["exit_status"] == 7
    assert document["runqlat"]["count"] == 3, "the document is that of the command's machine"
    assert document["fleet"]["merged"]["runqlat"]["count"] == 9
    assert [rows(file)[name]["runs_workload"] for name in ("here", "db", "proxy")] == [
        True,
        False,
        False,
    ]
    assert "evidence" not in rows(file)["here"]
    assert rows(file)["db"]["evidence"]["runqlat"]["count"] == 3
    lines = [row.split() for row in done.stderr.splitlines()]
    assert ["here", "workload", "complete"] in [row[:3] for row in lines]
    assert ["db", "all", "of", "it", "complete"] in [row[:5] for row in lines]


def test_what_only_the_workload_can_have_is_asked_of_its_agent_alone(tmp_path: Path) -> None:
    """A comparison asks for ``waking`` by itself, which a run of a whole machine refuses."""
    with machines("db") as found:
        run(list(found.values()), tmp_path / "x.json", "--details", "waking,syscalls")
        asked = {
            name: json.loads(next(r.body for r in agent.requests if r.route == START))["details"]
            for name, agent in found.items()
        }
    assert asked == {"here": ["waking", "syscalls"], "db": ["syscalls"]}


def refuses(agent: RunAgent) -> None:
    agent.refuse_start = True


def cannot(agent: RunAgent) -> None:
    agent.lacking = "no capability"
    agent.evidence = {"available": False, "reason": "no capability"}


def loses(agent: RunAgent) -> None:
    agent.lost = True


@pytest.mark.thorough(but="loses")
@pytest.mark.parametrize(
    ("fails", "why", "told"),
    [
        (refuses, "the agent refused: there is no process 1", True),
        (loses, "the evidence is lost: 500 internal_error: a defect", True),
        (cannot, "no capability", False),  # it is evidence, which the report is of
    ],
    ids=["refuses", "loses", "cannot"],
)
def test_one_that_fails_is_named_and_costs_no_other(
    tmp_path: Path, fails: Callable[[RunAgent], None], why: str, told: bool
) -> None:
    file = tmp_path / "x.json"
    with machines("db", "proxy") as found:
        fails(found["db"])
        done = run(list(found.values()), file)
        assert ("no evidence of db (" in done.stderr.partition("command ")[0]) or not told
        if told:
            assert f"no evidence of db ({found['db'].url}): {why}" in words(done.stderr)
    report = words(done.stderr.partition("Machines")[2])
    assert f"no evidence of db ({found['db'].url}): {why}" in report
    document = saved(file)
    assert document["available"] is True
    merged = document["fleet"]["merged"]
    assert merged["machines"] == ["here", "proxy"]
    assert merged["completeness"]["reasons"] == [f"machine_missing: db: {why}"]
    assert "Verdict: complete" in done.stderr, "that of the command's own machine"


@pytest.mark.thorough
def test_if_the_commands_own_machine_fails_the_others_have_evidence(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    with machines("db") as found:
        found["here"].lost = True
        run(list(found.values()), file)
    document = saved(file)
    assert document["available"] is False
    assert document["reason"].startswith("the evidence is lost")
    assert document["fleet"]["merged"]["machines"] == ["db"]
    assert rows(file)["here"]["reason"] == document["reason"]


@pytest.mark.thorough
def test_where_an_agent_is_gone_the_others_measure(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    with machines("db") as found, ended() as gone:
        done = run([*found.values(), gone], file)
    assert f"no evidence of {gone.url}: no answer from {gone.url}" in words(done.stderr)
    assert saved(file)["fleet"]["merged"]["machines"] == ["db", "here"]


@pytest.mark.thorough
def test_without_any_agent_the_command_runs(tmp_path: Path) -> None:
    with ended() as one, ended() as other:
        done = run([one, other], tmp_path / "x.json")
    assert "no evidence: no answer from" in done.stderr
    assert one.url in done.stderr
    assert other.url in done.stderr
    assert "fleet" not in saved(tmp_path / "x.json")


@pytest.mark.thorough
def test_none_is_on_the_machine_of_the_command(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    with machines("db", "proxy", here="") as found:
        done = run(list(found.values()), file)
        assert [agent.scopes for agent in found.values()] == [["system"], ["system"]]
    assert "no evidence: none of the agents is on the machine of the workload" in done.stderr
    assert saved(file)["available"] is False
    assert saved(file)["fleet"]["merged"]["runqlat"]["count"] == 6


@pytest.mark.thorough
def test_another_service_is_sent_nothing_but_a_question(tmp_path: Path) -> None:
    with machines() as found, serving(FakeAgent()) as other:
        done = run([found["here"], other], tmp_path / "x.json")  # type: ignore[list-item]
    assert other.routes == [STATUS]
    assert f"what answers at {other.url} is not a chainbench-agent" in words(done.stderr)


@pytest.mark.thorough
def test_while_one_is_busy_none_is_begun(tmp_path: Path) -> None:
    with machines("db") as found:
        busy, other = found["here"], found["db"]
        busy.run_id = "somebody's"

        def look(request: Request) -> None:
            if busy.routes.count(STATUS) == 4:
                busy.run_id = ""

        busy.on_request = look
        done = run([busy, other], tmp_path / "x.json")
        assert other.routes.count(START) == 1
        assert other.routes.index(START) > 2, "it was asked, and not begun"
    assert done.stderr.count("waiting for the end of another run") == 1
    assert "run somebody's is in progress" in done.stderr


@pytest.mark.thorough
def test_one_that_is_busy_at_the_last_moment_holds_no_other(tmp_path: Path) -> None:
    """The other one's run is ended at once, and begun anew with all."""
    with machines("db") as found:
        found["here"].busy = 2
        run(list(found.values()), tmp_path / "x.json")
        asked = [route for route in found["db"].routes if route != STATUS]
    assert asked == [START, STOP] * 3


@pytest.mark.thorough
def test_an_agent_with_two_urls_takes_part_once(tmp_path: Path) -> None:
    file = tmp_path / "x.json"

    class OneAtATime(RunAgent):
        def _start(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            if not self.run_id:
                return super()._start(body)
            return 409, {"error": "run_in_progress", "message": "x", "run_id": self.run_id}

    own = of_machine(run_id="run-1")
    with serving(OneAtATime(evidence=own, machine="here", boot_id=boot_id())) as agent:
        twin = RunAgent()
        twin.url = agent.url.replace("127.0.0.1", "localhost")
        done = run([agent, twin], file)
    assert "it is the same agent as http://" in words(done.stderr)
    assert len(saved(file)["fleet"]["merged"]["machines"]) == 1
    assert saved(file)["available"] is True, "it measures the command"
    assert agent.routes.count(STOP) == 1


@pytest.mark.thorough
def test_each_run_of_a_series_has_its_machines(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    with machines("db") as found:
        done = run(list(found.values()), file, "--runs", "2", command="exit 0", status=0)
        starts = [json.loads(r.body)["scope"] for r in found["db"].requests if r.route == START]
    assert "machines  next to it: db in 2 runs (each run's fleet in the file)" in done.stderr
    assert starts == ["system"] * 3, "one of them to have the programs compiled"
    for one in saved(file)["runs"]:
        assert one["evidence"]["fleet"]["merged"]["runqlat"]["count"] == 6


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--agent", "http://a", "--agent", "http://a", "--", "true"], "named twice"),
        (["record", "--system", "--agent", "http://a", "--agent", "http://b"], "with one agent"),
        (["run", "--agent", "http://a", "--agent", "b", "--", "true"], "an agent's URL is http"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], told: str) -> None:
    done = finished(line(*arguments))
    assert done.returncode == 2
    assert told in done.stderr
