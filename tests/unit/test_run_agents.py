"""``chainbench-agent run``: which agent measures, whose run it is, and why there is no evidence."""

import contextlib
import json
import subprocess
from datetime import timedelta

import pytest
from fakes.agent_server import FakeAgent, Request, ended, serving
from fakes.run_agent import RunAgent
from fakes.run_command import environment, finished, line, run
from fakes.waiting import eventually

pytestmark = pytest.mark.usefixtures("as_from_a_shell")


def test_labels_and_fields_of_the_start_are_passed_on(agent: RunAgent) -> None:
    options = "--sections runqlat,offcpu --details wait_functions --timing accounting"
    labels = ["--scenario", "baseline", "--commit", "c0ffee", "--variant", ""]
    run(agent, ["true"], *options.split(), *labels)
    [start] = [r for r in agent.requests if r.route == "POST /start"]
    body = json.loads(start.body)
    assert body.pop("scope")["pid"] > 1
    assert body == {
        "sections": ["runqlat", "offcpu"],
        "details": ["wait_functions"],
        "timing": "accounting",
        "scenario": "baseline",
        "commit": "c0ffee",
        "variant": "",
        "kept_by": "client",
    }


def test_what_is_not_kept_here_is_no_copy_there(agent: RunAgent) -> None:
    run(agent, ["true"], "--no-store")
    [start] = [r for r in agent.requests if r.route == "POST /start"]
    assert "kept_by" not in json.loads(start.body)


def test_the_variable_names_an_agent(agent: RunAgent) -> None:
    done = finished(line("run", "--", "true"), env=environment(CHAINBENCH_AGENT=agent.url))
    assert "Verdict: " in done.stderr
    assert agent.routes[-1] == "POST /stop"


def busy(agent: RunAgent) -> str:
    return (
        "run r-0 is in progress (since 2026-03-01T10:11:12.000+00:00); "
        f"if its client is gone, end it with: curl -X POST {agent.url}/stop"
    )


def test_while_another_run_is_in_progress_it_waits(agent: RunAgent) -> None:
    agent.busy = 3
    done = run(agent, ["echo", "done"])
    assert done.stdout == "done\n"
    assert done.stderr.count("waiting for the end of another run") == 1
    assert busy(agent) in done.stderr
    assert "Verdict: " in done.stderr
    assert agent.routes.count("POST /start") == 4
    assert agent.routes.count("POST /stop") == 1


def test_it_waits_no_longer_than_allowed_and_stops_no_other_run(agent: RunAgent) -> None:
    agent.busy = 10**6
    done = run(agent, ["sh", "-c", "exit 7"], "--wait", "0.3")
    assert done.returncode == 7
    told = f"no evidence: another run did not end in 0.3 s (--wait): {busy(agent)}"
    assert done.stderr.count(told) == 1
    assert done.stderr.count(busy(agent)) == 2, "also when it begins to wait"
    assert "POST /stop" not in agent.routes


@pytest.mark.parametrize(("ended_by", "told"), [("stop", True), ("scope", False)])
def test_a_run_that_another_client_has_ended_is_not_taken_for_whole(
    agent: RunAgent, ended_by: str, told: bool
) -> None:
    """Its evidence is kept. What is in progress by then is theirs."""
    agent.run_id = ""
    agent.evidence = {**agent.evidence, "ended_by": ended_by}

    def taken_over(request: Request) -> None:
        if request.route == "GET /status" and agent.run_id:
            agent.run_id = "theirs"

    agent.on_request = taken_over
    done = run(agent, ["true"])
    assert agent.routes[-1] == "GET /evidence/run-1"
    assert "POST /stop" not in agent.routes
    assert ("Verdict: invalid" in done.stderr) == told
    assert ("ended the run too early" in " ".join(done.stderr.split())) == told


@pytest.mark.parametrize(("ended_by", "told"), [("stop", True), ("scope", False)])
def test_a_run_that_the_end_of_the_agent_has_ended_is_not_taken_for_whole(
    agent: RunAgent, ended_by: str, told: bool
) -> None:
    agent.ending = True
    agent.evidence = {**agent.evidence, "ended_by": ended_by}
    done = run(agent, ["true"])
    assert agent.routes[-1] == "POST /stop"
    assert ("Verdict: invalid" in done.stderr) == told
    assert ("ended the run too early" in " ".join(done.stderr.split())) == told


def test_an_agent_that_takes_the_number_for_another_process(agent: RunAgent) -> None:
    agent.elsewhere = timedelta(days=3)
    done = run(agent, ["sh", "-c", "exit 7"])
    assert done.returncode == 7
    assert "the agent is on another machine, or in another pid namespace" in " ".join(
        done.stderr.split()
    )
    assert agent.routes[-1] == "POST /stop", "its own run is ended"
    assert "Verdict" not in done.stderr


def test_a_refusal_is_told_and_the_command_runs(agent: RunAgent) -> None:
    agent.refuse_start = True
    done = run(agent, ["sh", "-c", "exit 7"])
    assert done.returncode == 7
    told = "no evidence: the agent refused: there is no process 1"
    assert done.stderr.count(told) == 1
    assert "with status 7" in done.stderr


def test_what_is_missing_is_reported_once(agent: RunAgent) -> None:
    agent.lacking = "CAP_BPF and CAP_PERFMON are missing: start the agent as root"
    agent.evidence = {"available": False, "reason": agent.lacking}
    done = run(agent, ["sh", "-c", "exit 7"])
    assert done.returncode == 7
    assert " ".join(done.stderr.split()).count(agent.lacking) == 1
    assert "\ntime      " in done.stderr


def test_an_agent_that_does_not_answer(agent: RunAgent) -> None:
    with ended() as gone:
        done = run(gone, ["sh", "-c", "exit 7"])
    assert done.returncode == 7
    assert f"no evidence: no answer from {gone.url}: Connection refused" in done.stderr


def test_an_agent_that_is_gone_at_the_end() -> None:
    with contextlib.ExitStack() as until_gone:
        agent = until_gone.enter_context(serving(RunAgent()))
        command = line(
            "run", "--no-store", "--agent", agent.url, "--", "sh", "-c", "read x; exit 7"
        )
        pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, env=environment(), text=True, **pipes) as process:
            eventually(lambda: agent.run_id)
            until_gone.close()
            _, said = process.communicate("\n")
    assert process.returncode == 7
    told = " ".join(said.split())
    assert "evidence none: the evidence is lost, unless the agent was asked to end: its log" in told


def test_an_agent_that_answers_with_no_evidence(agent: RunAgent) -> None:
    agent.evidence = ["not", "an", "object"]
    done = run(agent, ["sh", "-c", "exit 7"])
    assert done.returncode == 7
    told = " ".join(done.stderr.split())
    assert "evidence none: the evidence was not fetched" in told
    assert f"GET /evidence/run-1 of {agent.url} returns it" in told


def test_what_is_not_an_agent_is_sent_nothing_but_a_question() -> None:
    with serving(FakeAgent()) as other:  # its /status is an object, but not ours
        done = run(other, ["true"])
    assert other.routes == ["GET /status"]
    assert f"no evidence: what answers at {other.url} is not a chainbench-agent" in done.stderr
