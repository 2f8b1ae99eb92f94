"""``--data-dir`` of a real agent: what outlives it, whose it is, and how it ends."""

import os
import random
import re
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from fakes import faults
from fakes.copied_package import Copy
from fakes.examples import examples, tried
from fakes.processes import Launched, launched
from fakes.program import program
from fakes.real_agent import RealAgent
from fakes.run_command import environment, finished, line
from fakes.users import SOMEBODY, as_root, as_user, ask
from fakes.waiting import eventually

from agent.cli import main
from agent.client.http_client import AgentClient, AgentRefused
from agent.client.interpreter import own_module
from agent.client.spawn import AgentDidNotStart, running_agent
from agent.runs.of_agent import RunsOfAgent
from agent.store.opening import open_to_read
from agent.store.place import default_path
from agent.store.selection import Selection

USER = 65_532
KILLS = 100
LONGEST_S = 0.2
"""Between the beginning of a run and the kill."""
REWRITTEN_S = 0.02


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may reach, with the data folder's path in it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder) / "data"


def options(folder: Path) -> list[str]:
    user = ["--user", str(USER)] if os.geteuid() == 0 else []
    return [*user, "--data-dir", str(folder)]


def ids(agent: Launched) -> dict[str, str]:
    """Return the states of the runs that are listed, by id."""
    return {run["run_id"]: run["state"] for run in agent.get("/runs")["runs"]}


def waiting(agent: Launched) -> int:
    """Return how many runs are still to be written; they are listed with those that have been."""
    count = agent.status()["store"]["waiting"]
    assert isinstance(count, int)
    return count


@pytest.mark.thorough
def test_runs_outlive_the_agent_and_the_one_that_was_on_is_partial(
    folder: Path, tmp_path: Path
) -> None:
    with launched(tmp_path / "log", *options(folder)) as agent:
        agent.settle()
        whole = agent.start(scenario="baseline")["run_id"]
        evidence = agent.stop()
        assert agent.status()["store"]["state"] == "keeping"
        unfinished = agent.start(scenario="optimized")["run_id"]
        os.kill(agent.pid, signal.SIGKILL)
        agent.exit_status()
    assert folder.stat().st_mode & 0o777 == 0o700
    owner = USER if os.geteuid() == 0 else os.geteuid()
    assert {path.stat().st_uid for path in (folder, *folder.iterdir())} == {owner}
    with launched(tmp_path / "log", *options(folder)) as agent:
        assert ids(agent) == {whole: "finished", unfinished: "partial"}
        assert agent.get(f"/runs/{whole}") == {**evidence, "state": "finished"}
        kept = agent.get(f"/runs/{unfinished}")
        assert kept["completeness"]["verdict"] == "invalid"
        assert kept["labels"]["scenario"] == "optimized"
        log = agent.text(f"/runs/{whole}/hlog")
        assert f"{evidence['runqlat']['hdr']}\n" in log


@pytest.mark.thorough
def test_a_run_that_the_agents_end_cuts_short_is_kept_as_aborted(
    folder: Path, tmp_path: Path
) -> None:
    with launched(tmp_path / "log", *options(folder)) as agent:
        agent.settle()
        run_id = agent.start()["run_id"]
        os.kill(agent.supervisor, signal.SIGTERM)
        assert agent.exit_status() == 0
    assert [path.name for path in folder.glob("runs.db-*al")] == [], "the store was not closed"
    with launched(tmp_path / "log", *options(folder)) as agent:
        assert ids(agent) == {run_id: "aborted"}


@pytest.mark.thorough
def test_a_long_run_is_kept_with_what_there_is_after_ten_seconds(
    folder: Path, tmp_path: Path
) -> None:
    with launched(tmp_path / "log", *options(folder)) as agent:
        agent.settle()
        run_id = agent.start()["run_id"]
        eventually(lambda: agent.get(f"/runs/{run_id}").get("timeline"))
        eventually(lambda: waiting(agent) == 0)
        os.kill(agent.pid, signal.SIGKILL)
        agent.exit_status()
    with launched(tmp_path / "log", *options(folder)) as agent:
        kept = agent.get(f"/runs/{run_id}")
    assert kept["state"] == "partial"
    assert kept["runqlat"]["count"] > 0
    assert kept["runqlat"]["p95_us"] > 0
    assert kept["timeline"]["at_s"][-1] >= 9


@pytest.mark.thorough
def test_killed_at_any_moment_the_store_is_whole(folder: Path, tmp_path: Path, copy: Copy) -> None:
    """With synthetic events: the store does not know the difference, and no compiler is started.

    A run is written again every 20 ms instead of every 10 s, so that kills meet that as well.
    """
    copy.inject(faults.attribute, "agent.recording.keeping", "INTERVAL_S", REWRITTEN_S)
    agents = own_module("agent", folder=copy.folder)
    moments = random.Random(16)  # where a kill falls is random in any case
    finished: dict[str, str] = {}
    running: set[str] = set()
    arguments = ["--mock", "--data-dir", str(folder)]
    if os.geteuid() == 0:
        arguments += ["--user", str(USER)]
    for _ in range(KILLS):
        with running_agent(arguments, invocation=agents, log=tmp_path / "log") as agent:
            for _ in range(moments.randrange(3)):
                run_id = agent.post("/start")["run_id"]
                assert agent.post("/stop")["run_id"] == run_id
                finished[run_id] = "finished"
            run_id = agent.post("/start")["run_id"]
            running.add(run_id)
            time.sleep(moments.random() * LONGEST_S)
            agent.process.kill()
            agent.process.wait()
    database = folder / "runs.db"
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    with running_agent(arguments, log=tmp_path / "log") as agent:
        page = agent.get("/runs?limit=1000")
        assert page["next"] is None
        states = {run["run_id"]: run["state"] for run in page["runs"]}
        assert states == finished | dict.fromkeys(running, "partial")
        for run_id in finished:
            kept = agent.get(f"/runs/{run_id}")
            assert kept["runqlat"]["count"] == sum(
                row["count"] for row in kept["runqlat"]["histogram"]
            )
        written = [run_id for run_id in running if agent.get(f"/runs/{run_id}").get("timeline")]
        assert KILLS / 4 < len(written) < KILLS, "kills before and after a run was written again"


@pytest.mark.thorough
def test_the_command_line_reads_what_an_agent_keeps(folder: Path, tmp_path: Path) -> None:
    with running_agent(["--mock", *options(folder)], log=tmp_path / "log") as agent:
        for scenario in ("baseline", "optimized"):
            for _ in range(2):
                agent.post("/start", {"scenario": scenario, "scope": "caller"})
                agent.post("/stop")
        kept = RunsOfAgent(agent)
        newest = agent.get("/evidence")["run_id"]
        assert [run.id for run in kept.named("last")] == [newest]
        assert [run.id for run in kept.named(newest[:12])] == [newest]
        assert len(kept.selected({"scenario": "baseline"})) == 2
        since = datetime.fromisoformat(agent.get("/evidence")["started_at"]).timestamp()
        assert [run["run_id"] for run in kept.listed({}, since=since)] == [newest]


@pytest.mark.thorough
def test_the_command_line_deletes_with_the_token(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    token = tmp_path / "token"
    token.write_text("t" * 32)
    token.chmod(0o600)
    monkeypatch.setenv("CHAINBENCH_AGENT_TOKEN_FILE", str(token))
    arguments = ["--mock", *options(folder), "--token-file", str(token)]
    with running_agent(arguments, log=tmp_path / "log") as started:
        agent = AgentClient.named(started.url)
        for variant in ("x", "x", "y"):
            agent.post("/start", {"variant": variant})
            agent.post("/stop")
        delete = ["runs", "delete", "--agent", agent.url, "variant=x"]
        assert main(delete) == 0
        assert capsys.readouterr().out.startswith("deleted 2 runs: ")
        [left] = agent.get("/runs")["runs"]
        assert left["labels"]["variant"] == "y"
        monkeypatch.delenv("CHAINBENCH_AGENT_TOKEN_FILE")
        assert main([*delete[:-1], "last"]) == 1
        assert "unauthorized" in capsys.readouterr().err
        assert agent.get("/runs")["runs"] == [left]


@pytest.mark.thorough
def test_what_run_keeps_itself_is_kept_once_and_is_a_copy_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with running_agent(["--mock", *options(folder)], log=tmp_path / "log") as agent:
        for kept_here in (["--no-store"], []):
            words = line("run", "--agent", agent.url, "--quiet", *kept_here, "--", "true")
            variables = environment(XDG_STATE_HOME=str(tmp_path / "state"))
            assert finished(words, env=variables).returncode == 0
        copied, own = (run["run_id"] for run in agent.get("/runs")["runs"])
        assert [run["run_id"] for run in agent.get("/runs?copies=false")["runs"]] == [own]
    with open_to_read(default_path()) as store:
        assert [run.id for run in store.find(Selection())] == [copied]


@pytest.mark.thorough
def test_the_examples_of_the_page_on_kept_runs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    start, of_a_service, _ = examples("keeping-runs.md", "sh")[-3:]
    # the agent below is started with the options of the page, and other values
    named = re.findall(r"--[a-z-]+", start.splitlines()[-1])
    assert set(named) == {"--port", "--user", "--data-dir"}
    with launched(tmp_path / "log", *options(folder)) as agent:
        agent.settle()
        run_id = agent.start(variant="plain")["run_id"]
        agent.stop()
        said = tried(of_a_service, tmp_path, agent.url)
    assert f"{run_id[:8]}  " in said
    assert f"  run       {run_id}\n" in said
    assert f"1 run imported ({run_id[:8]})\n" in said


@as_root
def test_as_root_the_folder_needs_a_user(folder: Path) -> None:
    with (
        pytest.raises(AgentDidNotStart, match="--data-dir needs --user"),
        running_agent(["--mock", "--data-dir", str(folder)]),
    ):
        pass
    assert not folder.exists()


@pytest.mark.thorough
def test_a_folder_that_cannot_be_used_is_named_at_the_start(folder: Path) -> None:
    folder.symlink_to("/etc")
    with (
        pytest.raises(AgentDidNotStart, match="it is a link"),
        running_agent(["--mock", *options(folder)]),
    ):
        pass


@as_root
@pytest.mark.thorough
def test_over_the_socket_a_user_sees_runs_of_his_own(folder: Path, tmp_path: Path) -> None:
    path = folder.parent / "agent.sock"
    arguments = ["--mock", *options(folder), "--socket", str(path), "--socket-mode", "0666"]
    with running_agent(arguments, log=tmp_path / "log") as agent:
        other = agent.post("/start")["run_id"]
        agent.post("/stop")
        user = as_user(SOMEBODY)
        assert ask(path, "/start", "-d", '{"scope": "caller"}', before=user)[0] == 200
        own = ask(path, "/stop", "-X", "POST", before=user)[1]["run_id"]
        listed = ask(path, "/runs", before=user)[1]["runs"]
        assert [run["run_id"] for run in listed] == [own]
        assert ask(path, f"/runs/{own}", before=user)[0] == 200
        for route in (f"/runs/{other}", f"/runs/{other}/hlog"):
            status, answer = ask(path, route, before=user)
            assert (status, answer["error"]) == (403, "forbidden_user")
        assert {run["run_id"] for run in agent.get("/runs")["runs"]} == {own, other}


@pytest.mark.thorough
def test_a_store_that_is_locked_costs_no_event(folder: Path, tmp_path: Path) -> None:
    with launched(tmp_path / "log", *options(folder)) as agent:
        agent.settle()
        agent.start()
        agent.stop()
        with (
            closing(sqlite3.connect(folder / "runs.db", isolation_level=None)) as other,
            program("pingpong", 100_000) as players,
        ):
            other.execute("BEGIN IMMEDIATE")
            run_id = agent.start(scope=players.scope)["run_id"]
            players.work()
            evidence = agent.stop()
            assert agent.status()["store"]["state"] == "failing"
            assert waiting(agent) == 1
            assert ids(agent)[run_id] == "finished"
            other.execute("COMMIT")
        waits = evidence["completeness"]["streams"]["runqlat"]
        assert waits["received"] == waits["produced"] > 200_000
        eventually(lambda: waiting(agent) == 0)
        assert agent.status()["store"]["lost"] == 0
    with launched(tmp_path / "log", *options(folder)) as agent:
        assert ids(agent)[run_id] == "finished"


MOUNTS = {
    "full": "mount -t tmpfs -o size=200k,mode=755 none {0}",
    "read-only": "mount -t tmpfs -o mode=755 none {0}; mkdir -m 700 {1}; chown {2} {1};"
    " mount -o remount,ro {0}",
}


@as_root
@pytest.mark.thorough
@pytest.mark.parametrize("disk", MOUNTS)
def test_a_disk_that_takes_nothing_leaves_the_evidence_and_is_named_once(
    folder: Path, tmp_path: Path, disk: str
) -> None:
    mount = MOUNTS[disk].format(folder.parent, folder, USER)
    before = ["unshare", "--mount", "sh", "-c", f'{mount}; exec "$@"', "sh"]
    with launched(tmp_path / "log", "--mock", *options(folder), before=before) as agent:
        made = []
        for _ in range(30):
            made.append(agent.start()["run_id"])
            assert agent.stop()["available"]
        store = agent.status()["store"]
        assert store["state"] == "failing"
        assert store["reason"] in agent.log
        assert agent.log.count("runs are not being kept") == 1
        if disk == "full":
            newest = agent.get("/runs?limit=1")["runs"][0]
            assert (newest["run_id"], newest["state"]) == (made[-1], "finished")
        page = agent.metrics()
        assert "\nchainbench_agent_store_writable 0" in page
        os.kill(agent.supervisor, signal.SIGTERM)
        assert agent.exit_status() == 0
        named = re.findall(r"run (\S+) is not kept: .", agent.log)
    # what has waited until the end, and what was dropped before
    assert len(set(named)) == len(named) > store["lost"]
    if disk == "read-only":
        assert "\nchainbench_agent_store_runs_lost_total 14" in page
        assert sorted(named) == sorted(made)


def test_without_it_the_cure_is_named(agent: RealAgent) -> None:
    with pytest.raises(AgentRefused, match="--data-dir"):
        agent.get("/runs")
