"""``chainbench-agent runs list``: what is kept, chosen by labels and times, and in which form."""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from fakes.command_line import exit_status
from fakes.kept import keep_in, pairs, single
from fakes.run_command import environment, finished, line
from fakes.runs_command import Runs, listed_ids, table

from agent.runs.listing import grouped, listed
from agent.runs.which import moment
from agent.store.opening import open_to_read
from agent.store.selection import Selection
from agent.terminal.width import cells


@pytest.fixture
def utc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("utc")
def test_a_series_is_one_line_and_the_newest_comes_first(runs: Runs, path: Path) -> None:
    old, series = single(0, variant="numpy", commit="c0ffee" * 7), pairs(3, second=60)
    keep_in(path, old, series)
    done = runs("list")
    assert done.stderr == ""
    header, newest, oldest = done.stdout.splitlines()
    assert header.split() == ["id", "started", "runs", "time", "verdict", "what"]
    hour = "10:01" if datetime.now().year == 2026 else "2026"
    times, commands = ["101", "ms,", "91", "ms"], ["sleep", "0.1", "vs"]
    first = ["Mar", "1", hour, "6", *times, "degraded", *commands]
    assert newest.split()[1:13] == first
    assert oldest.split()[0] == old["run_id"][:8]
    assert oldest.endswith("  1        12.5 ms  degraded  numpy  sh -c 'exit 0'  c…")


def test_commands_are_in_the_order_of_their_times(runs: Runs, path: Path) -> None:
    """Whichever was drawn to run first."""
    series = pairs(1)
    of_first, of_second = (run["evidence"] for run in series["runs"])
    times = of_second["started_at"], of_first["started_at"]
    of_first["started_at"], of_second["started_at"] = times
    keep_in(path, series)
    _, shown = runs("list").stdout.splitlines()
    assert "100 ms, 90 ms" in shown
    assert "sleep 0.1 vs sleep 0.09" in shown


def test_runs_with_synthetic_events_are_marked(runs: Runs, path: Path) -> None:
    synthetic, measured = single(60, variant="numpy"), single(0, variant="numpy")
    synthetic["labels"]["machine"] = "mock"
    keep_in(path, synthetic, measured)
    _, newest, oldest = runs("list").stdout.splitlines()
    assert "degraded  mock  numpy" in newest
    assert "mock" not in oldest


def test_what_failed_looks_like_nothing_that_is_whole(runs: Runs, path: Path) -> None:
    one, some, killed, hostile, ignored = single(), pairs(3, 60), single(120), single(180), pairs(1)
    one["command"]["exit_status"] = 3
    some["runs"][-1]["counts"] = False
    some["runs"][-1]["command"]["exit_status"] = 4
    killed["command"] |= {"exit_status": None, "signal": "SIGSEGV"}
    hostile["command"] |= {"exit_status": None, "signal": "\x1b[2J" + "x" * 100}
    ignored["runs"][0]["command"]["exit_status"] = 1  # run --ignore-failure
    keep_in(path, one, some, killed, hostile)
    listed = [" ".join(row) for row in table(runs("list"))]
    assert "aborted (" in listed[0]
    assert "\x1b" not in listed[0]
    assert "12.5 ms aborted (SIGSEGV) sh -c" in listed[1]
    assert "101 ms, 90.5 ms 1 failed (4) sleep" in listed[2]
    assert "12.5 ms failed (3) sh -c" in listed[3]
    runs("delete", "last")
    keep_in(path, ignored)
    assert not any("failed (1)" in line for line in runs("list").stdout.splitlines())


def test_lines_have_80_columns_and_no_hostile_bytes(
    runs: Runs, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = single(impl="\x1b[31mred\x07", variant="ü" * 200, commit="é" * 300)
    document["command"]["arguments"] = ["sh", "-c", "echo \x1b[2J; " + "x" * 500]
    keep_in(path, document)
    done = runs("list")
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert max(map(cells, done.stdout.splitlines())) == 80
    monkeypatch.setenv("COLUMNS", "40")
    narrow = runs("list")
    assert max(map(cells, narrow.stdout.splitlines())) <= 40


@pytest.mark.usefixtures("utc")
def test_a_list_is_chosen_by_labels_and_times(runs: Runs, path: Path) -> None:
    first, second = single(0, variant="numpy"), single(3600, variant="plain")
    second["started_at"] = "2026-03-01T12:00:00+00:00"
    keep_in(path, first, second)
    one, other = first["run_id"][:8], second["run_id"][:8]
    assert listed_ids(runs("list")) == [other, one]
    assert listed_ids(runs("list", "variant=numpy")) == [one]
    assert listed_ids(runs("list", "variant=numpy", "verdict=complete")) == []
    assert listed_ids(runs("list", "--since", "2026-03-01T11:00")) == [other]
    assert listed_ids(runs("list", "--until", "2026-03-01T11:00")) == [one]
    assert listed_ids(runs("list", "--since", "1h")) == []


def test_a_list_of_nothing_says_so_and_how_to_ask_for_a_state(runs: Runs, path: Path) -> None:
    keep_in(path, single(0))
    assert runs("list", "variant=none-such").stdout == "no kept run has all of that\n"
    said = "no kept run has all of that (aborted is a state, not a verdict: state=aborted)"
    assert runs("list", "verdict=aborted").stdout == f"{said}\n"
    assert f"{said}: runs list shows" in runs("delete", "verdict=aborted").stderr
    assert json.loads(runs("list", "--json", "verdict=aborted").stdout) == {"runs": []}
    runs("delete", "last")
    assert runs("list").stdout == "no runs are kept\n"


@pytest.mark.parametrize(
    ("ms", "time"), [(1e89, "100,000,000,"), (1e290, "–"), (-5.0, "–"), (0.0, "–")]
)
def test_a_time_that_nothing_took_hides_nothing(
    runs: Runs, path: Path, ms: float, time: str
) -> None:
    odd = single(0)
    odd["command"]["wall_ms"] = ms
    keep_in(path, odd, single(1))
    done = runs("list")
    assert all("exit 0" in line for line in done.stdout.splitlines()[1:])
    assert time in done.stdout


def test_the_store_is_not_written_over(runs: Runs, path: Path) -> None:
    keep_in(path, single())
    done = runs("export", "last", "--output", path)
    assert (done.returncode, "the runs are kept in it" in done.stderr) == (1, True)
    assert len(table(runs("list"))) == 1


def test_two_values_of_one_name_are_refused(runs: Runs, path: Path) -> None:
    keep_in(path, single(0, variant="numpy"), single(1, variant="plain"))
    for action in ("list", "delete", "export"):
        done = runs(action, "variant=numpy", "variant=plain")
        assert done.returncode == 1
        assert "variant is given twice, and a run has one" in done.stderr
    assert len(table(runs("list", "variant=plain", "variant=plain"))) == 1


def test_a_long_list_is_cut_and_says_so(runs: Runs, path: Path) -> None:
    keep_in(path, *(single(n) for n in range(4)))
    assert runs("list", "--limit", 3).stdout.endswith("\n1 more: --limit 0 lists all\n")
    assert len(table(runs("list", "--limit", 0))) == 4
    assert len(json.loads(runs("list", "--json").stdout)["runs"]) == 4
    assert len(json.loads(runs("list", "--json", "--limit", 1).stdout)["runs"]) == 1


def test_a_list_for_scripts_has_every_field(runs: Runs, path: Path) -> None:
    keep_in(path, pairs(1, variant="numpy"))
    done = runs("list", "--json")
    newest, _ = json.loads(done.stdout)["runs"]
    assert (newest["side"], newest["round"], newest["counts"]) == ("optimized", 0, True)
    assert newest["labels"]["variant"] == "numpy"
    assert newest["wall_ms"] == 90.0


def test_what_is_not_finished_and_differs_is_in_the_list(path: Path) -> None:
    document = pairs(2)
    document["runs"][0]["evidence"]["completeness"]["verdict"] = "invalid"
    document["runs"][3] |= {"counts": False, "state": "aborted"}
    keep_in(path, document)
    with open_to_read(path) as store:
        text = listed(grouped(store.find(Selection())), 200)
    assert "  1 aborted  " in text


def test_nothing_is_kept_yet(runs: Runs, path: Path) -> None:
    done = runs("list")
    assert done.returncode == 0
    assert done.stdout == "no runs are kept yet: chainbench-agent run keeps what it measures\n"
    assert json.loads(runs("list", "--json").stdout) == {"runs": []}
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "kommit=a"], "a selector is NAME=VALUE"),
        (["show", "zzzz"], "zzzz is the beginning of no id that is kept"),
        (["show", "last~7"], "there is no last~7"),
        (["export", "nnnn"], "the beginning of no id"),
        (["delete", "variant=none-such"], "no kept run has all of that"),
        (["export", "variant="], "that is 2 files: say --into FOLDER"),
        (["export", "last", "--output", "/no/such/folder/x"], "cannot write /no/such/folder/x"),
        (["export", "last", "--into", "/no/such/folder"], "No such file or directory"),
        (["list", "--store", "/dev/null"], "/dev/null is no regular file"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    runs: Runs, path: Path, arguments: list[str], said: str
) -> None:
    keep_in(path, single(1), single(2))
    done = runs(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"chainbench-agent runs {arguments[0]}: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert len(table(runs("list"))) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        *([], ["nothing"], ["list", "--since", "soon"], ["list", "--limit", "-1"]),
        *(["limits", "--days", "0"], ["limits", "--size", "5X"], ["limits", "--size", "0G"]),
        *(["limits", "--runs", "many"], ["show"], ["import"], ["list", "--nope"]),
        *(["export"], ["delete"], ["delete", "--agent", "http://127.0.0.1:9"]),
        ["export", "last", "--output", "a", "--into", "b"],
    ],
)
def test_mistakes_on_the_command_line_are_refused(runs: Runs, arguments: list[str]) -> None:
    done = runs(*arguments)
    assert done.returncode == 2
    assert "usage: chainbench-agent runs" in done.stderr


def test_a_reader_that_goes_away_is_no_error(runs: Runs, path: Path) -> None:
    keep_in(path, *(single(n % 60) for n in range(200)))
    command = " ".join(line("runs", "list", "--limit", "0"))
    variables = environment(XDG_STATE_HOME=str(path.parents[1]))
    done = finished(["bash", "-c", f"{command} | head -n 1"], env=variables)
    assert (done.returncode, done.stderr) == (0, "")


def test_moments_are_ages_or_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert moment("30m") == 1e9 - 1800
    assert moment("2w") == 1e9 - 14 * 86400
    assert moment("2026-03-01T10:00:00+00:00") == 1772359200.0


@pytest.mark.parametrize("action", ["list", "show last", "import a", "limits", "delete last"])
@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_store_without_a_name_is_refused(
    capsys: pytest.CaptureFixture[str], action: str, name: str
) -> None:
    assert exit_status(["runs", *action.split(), "--store", name]) == 2
    assert f"argument --store: {name!r} is not the name of a file" in capsys.readouterr().err


def test_a_folder_is_said_to_be_one(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    done = runs("list", "--store", f"{tmp_path}/folder/")
    assert done.stderr.endswith("folder is a folder, and runs are kept in a file\n")
