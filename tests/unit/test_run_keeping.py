"""``run`` keeps what it measured, whatever becomes of the store, and says where."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.agent_server import FakeAgent, ended
from fakes.kept import keep_in, single
from fakes.mounts import mounting
from fakes.run_agent import RunAgent
from fakes.run_command import environment, finished, line
from fakes.sample_evidence import evidence
from fakes.users import SOMEBODY, as_reading_user

from agent.cli import main
from agent.run.keeping import keep
from agent.run.options import Options
from agent.run.telling import Teller
from agent.store import errors
from agent.store.documents import runs_of
from agent.store.opening import open_store, open_to_read
from agent.store.retention import Limits
from agent.store.run import KeptRun
from agent.store.selection import Selection
from agent.store.store import Store
from agent.terminal.width import cells

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

Run = Callable[..., "subprocess.CompletedProcess[str]"]
KEPT = re.compile(r"kept      ([0-9a-z]{8}) \(in full: chainbench-agent runs show \1\)\n")
KEPT_WORDS = re.compile(
    r"kept ([0-9a-z]{8}) \(in full: chainbench-agent runs show \1\) "
    r"deleted 1 older run \(chainbench-agent runs limits\)"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
RUN_ID = "0b51a4e2-5c7f-4c69-9d2e-1f2a3b4c5d6e"


@pytest.fixture
def run(agent: RunAgent, home: Path) -> Run:
    agent.evidence = evidence(run_id=RUN_ID)

    def measured(
        *options: object, command: Any = ("true",), fake: FakeAgent = agent, **others: Any
    ) -> "subprocess.CompletedProcess[str]":
        separated = ["--", *command] if command else []
        words = line("run", "--agent", fake.url, *options, *separated)
        return finished(words, **{"env": environment(XDG_STATE_HOME=str(home)), **others})

    return measured


def single_spaced(text: str) -> str:
    return " ".join(text.split())


def kept(path: Path) -> list[KeptRun]:
    with open_to_read(path) as store:
        return store.select(Selection())


def test_a_run_is_kept_and_the_report_says_where(run: Run, path: Path) -> None:
    done = run("--variant", "x")
    assert done.returncode == 0
    said = KEPT.search(done.stderr)
    assert said is not None
    assert done.stderr.endswith(said[0])
    [found] = kept(path)
    assert found.id == RUN_ID
    assert found.id.startswith(said[1])
    assert (found.source, found.state, found.counts) == ("run", "finished", True)
    assert found.command["exit_status"] == 0


def test_what_is_kept_is_what_json_saves(run: Run, path: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    run("--json", file)
    [found], [saved] = kept(path), runs_of(json.loads(file.read_text()), "run")
    assert (found.id, found.command, found.evidence) == (saved.id, saved.command, saved.evidence)


def test_pairs_are_one_series(run: Run, path: Path, tmp_path: Path) -> None:
    file = tmp_path / "pairs.json"
    options = ("--baseline", "true", "--optimized", "sh -c 'exit 0'", "--runs", 2)
    done = run(*options, "--json", file, command=())
    said = KEPT.search(done.stderr)
    found = kept(path)
    assert said is not None
    assert len(found) == 4
    assert {found_run.series for found_run in found} == {found[0].series}
    assert str(found[0].series).startswith(said[1])
    assert {(one.side, one.round) for one in found} == {
        (side, number) for side in ("baseline", "optimized") for number in (0, 1)
    }
    saved = runs_of(json.loads(file.read_text()), "run")
    assert {one.id for one in saved} == {one.id for one in found}


def test_a_failure_is_kept_and_does_not_count(run: Run, path: Path) -> None:
    assert run(command=["sh", "-c", "exit 3"]).returncode == 3
    [found] = kept(path)
    assert (found.counts, found.state) == (False, "finished")


def test_a_command_that_was_killed_is_kept_as_aborted(run: Run, path: Path) -> None:
    assert run(command=["sh", "-c", "kill -KILL $$"]).returncode == -9
    [found] = kept(path)
    assert (found.counts, found.state, found.command["signal"]) == (False, "aborted", "SIGKILL")


def test_without_evidence_a_run_is_kept_with_what_is_known(run: Run, path: Path) -> None:
    with ended() as gone:
        for _ in range(2):
            done = run("--commit", "c0ffee", "--variant", "x", fake=gone)
            assert KEPT.search(done.stderr) is not None
    found = kept(path)
    assert len(found) == 2
    assert found[0].id != found[1].id
    for one in found:
        assert one.verdict == "none"
        assert (one.labels["commit"], one.labels["variant"]) == ("c0ffee", "x")
        assert one.labels["machine"] == os.uname().nodename
        assert os.uname().release in one.evidence["manifest"]["kernel"]
        assert one.wall_ms is not None
        assert one.started_at.endswith("+00:00")


def test_no_store_keeps_nothing(run: Run, path: Path) -> None:
    done = run("--no-store")
    assert "kept" not in done.stderr
    assert not path.parents[1].exists()


def test_quiet_keeps_and_says_nothing(run: Run, path: Path) -> None:
    assert run("--quiet").stderr == ""
    assert len(kept(path)) == 1


def test_a_report_in_a_file_says_it_there(run: Run, tmp_path: Path, path: Path) -> None:
    report = tmp_path / "report"
    done = run("--output", report)
    assert done.stderr == ""
    assert KEPT.search(report.read_text().splitlines(keepends=True)[-1]) is not None


@pytest.mark.parametrize("columns", [40, 50, 60])
def test_no_line_of_the_report_is_wider_than_the_screen(
    run: Run, path: Path, home: Path, columns: int
) -> None:
    keep_in(path, single(), single())
    with open_store(path) as store:
        store.set_limits(Limits(runs=2))
    narrow = environment(XDG_STATE_HOME=str(home), COLUMNS=str(columns))
    said = run(env=narrow).stderr
    assert max(map(cells, said.splitlines())) <= columns
    kept_as = single_spaced(said[said.index("\nkept ") :])
    assert KEPT_WORDS.fullmatch(kept_as) is not None


def test_what_the_limits_deleted_is_said(run: Run, path: Path, home: Path) -> None:
    keep_in(path, single(), single())
    with open_store(path) as store:
        store.set_limits(Limits(runs=2))
    said = run().stderr.splitlines()[-2:]
    assert said[0].startswith("kept      ")
    assert said[1] == "deleted   1 older run (chainbench-agent runs limits)"
    assert len(kept(path)) == 2


def test_a_command_that_cannot_be_run_keeps_nothing(run: Run, path: Path) -> None:
    assert run(command=["/no/such/command"]).returncode == 127
    assert not path.exists()


# --- whatever is wrong with the store, the evidence is printed, and one line says what it is


def one_warning(done: "subprocess.CompletedProcess[str]", why: str) -> None:
    assert done.returncode == 0
    assert "Verdict: degraded" in done.stderr
    warnings = [said for said in done.stderr.splitlines() if "chainbench-agent run: " in said]
    assert len(warnings) == 1
    assert warnings[0].startswith("chainbench-agent run: this is not kept: ")
    assert why in warnings[0]
    assert done.stderr.endswith(warnings[0] + "\n")


def test_a_link_in_its_place(run: Run, path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "elsewhere")
    one_warning(run(), "is a link")
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_in_place_of_its_folder(run: Run, home: Path) -> None:
    home.mkdir()
    (home / "chainbench-agent").write_text("mine")
    one_warning(run(), "is a link or no folder")


def test_a_home_that_cannot_be_written_to(run: Run, home: Path) -> None:
    home.write_text("no folder at all")
    one_warning(run(), f"{home} is no folder")


def test_a_later_schema(run: Run, path: Path) -> None:
    keep_in(path, single())
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    one_warning(run(), "schema 99")


@needs_root
@pytest.mark.parametrize(
    ("options", "why"),
    [("size=300k,mode=700", "is the disk full?"), ("ro,mode=700", "Read-only file system")],
)
def test_a_disk_that_is_full_or_read_only(
    agent: RunAgent, home: Path, options: str, why: str
) -> None:
    home.mkdir()
    script = f"mount -t tmpfs -o {options} none {home}"
    if "size" in options:
        script += f"; head -c 290000 /dev/zero > {home}/full"
    words = line("run", "--agent", agent.url, "--", "true")
    variables = environment(XDG_STATE_HOME=str(home))
    one_warning(finished([*mounting(script), *words], env=variables), why)


@needs_root
@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"HOME": "/nonexistent"}, "/nonexistent: Permission denied"),
        ({"HOME": "/"}, "/.local: Permission denied"),
        ({"HOME": ""}, "Permission denied"),
    ],
)
def test_an_account_without_a_home(agent: RunAgent, variables: dict[str, str], why: str) -> None:
    known = {k: v for k, v in environment().items() if k not in ("HOME", "XDG_STATE_HOME")}
    words = [*as_reading_user(SOMEBODY), *line("run", "--agent", agent.url, "--", "true")]
    one_warning(finished(words, env={**known, **variables}), why)


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_store_that_is_locked(
    path: Path,
    home: Path,
    interrupted: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keep_in(path, single())
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    # somebody may not want to wait for 30 s
    monkeypatch.setattr(errors, "LOCKED_S", 60 if interrupted else 0.1)
    if interrupted:
        try_to_begin = Store._has_begun

        def with_ctrl_c(store: Store, or_raise: bool) -> bool:
            begun = try_to_begin(store, or_raise)
            signal.raise_signal(signal.SIGINT)
            return begun

        monkeypatch.setattr(Store, "_has_begun", with_ctrl_c)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        keep(single(), Options(), Teller("run", Options()))
    why = "interrupted" if interrupted else "another process has locked it"
    said = capsys.readouterr().err
    assert said.startswith("chainbench-agent run: this is not kept: ")
    assert why in said
    assert len(kept(path)) == 1


def test_a_python_without_sqlite(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    keep(single(), Options(), Teller("run", Options()))
    assert capsys.readouterr().err.startswith("chainbench-agent run: this is not kept: ")
    assert main(["runs", "list", "--store", str(path)]) == 1
    assert capsys.readouterr().err.startswith("chainbench-agent runs list: this Python cannot keep")


def test_a_damaged_store_is_put_aside_and_said_once(run: Run, path: Path) -> None:
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_bytes(b"garbage" * 1000)
    done = run()
    assert "was damaged, and is now" in done.stderr
    assert KEPT.search(done.stderr) is not None
    assert len(kept(path)) == 1
    [aside] = path.parent.glob("runs.db.damaged-*")
    assert aside.read_bytes() == b"garbage" * 1000
    assert "damaged" not in run("--quiet").stderr


def test_nothing_of_the_store_is_imported_before_the_command_has_ended(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "before = set(sys.modules)  # what is installed next to it may have imported some\n"
        "import agent.cli.run, agent.run.command, agent.run.series\n"
        "found = set(sys.modules) - before\n"
        "print(sorted({'sqlite3', 'zlib', 'uuid', 'agent.store'} & found))\n"
    )
    words = [*line("run")[:1], "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
