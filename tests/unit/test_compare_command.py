"""`compare` as a command: what it compares and says, what it refuses, how it ends."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.command_line import exit_status
from fakes.compare_command import NEW, OLD, ended, keep, saved
from fakes.groups import command_document, good_evidence, pairs_document

from agent.terminal.width import cells

pytestmark = pytest.mark.usefixtures("state_home")


@pytest.fixture
def faster(tmp_path: Path) -> str:
    return saved(tmp_path, "faster.json", pairs_document(OLD, NEW))


@pytest.fixture
def slower(tmp_path: Path) -> str:
    return saved(tmp_path, "slower.json", pairs_document(NEW, OLD))


@pytest.fixture
def equal(tmp_path: Path) -> str:
    return saved(tmp_path, "equal.json", pairs_document(OLD, [*OLD[1:], OLD[0]]))


def test_a_series_says_who_is_faster(faster: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed, said = ended([faster], capsys)
    assert (status, said) == (0, "")
    assert printed.startswith("optimized takes 10")
    assert "% less time (95 % interval" in printed.splitlines()[0]
    assert "result    conclusive" in printed
    assert max(map(cells, printed.splitlines())) <= 80


def test_kept_series_are_compared_as_groups(capsys: pytest.CaptureFixture[str]) -> None:
    before = keep(command_document(OLD))
    after = keep(command_document(NEW, second=600))
    status, printed, _ = ended([before[:8], after[:8]], capsys)
    assert status == 0
    assert "n=10+10)" in printed.splitlines()[0] + printed.splitlines()[1]
    assert "one side after the other; no pairs" in " ".join(printed.split())


def test_labels_gather_runs_of_several_series(capsys: pytest.CaptureFixture[str]) -> None:
    def labels(commit: str) -> dict[str, Any]:
        whole = good_evidence()["labels"]
        return {"labels": {**whole, "commit": commit}}

    keep(command_document(OLD[:5], **labels("abc")))
    keep(command_document(OLD[5:], second=10, **labels("abc")))
    keep(command_document(NEW, second=20, **labels("def")))
    status, printed, _ = ended(["commit=abc,variant=numpy", "commit=def"], capsys)
    assert status == 0
    assert "n=10+10)" in " ".join(printed.split())
    assert "labels    " in printed


def test_the_newest_is_called_last(capsys: pytest.CaptureFixture[str]) -> None:
    keep(pairs_document(OLD, NEW))
    assert ended(["last"], capsys)[1].startswith("optimized takes 10")


def failed(document: dict[str, Any], side: str) -> dict[str, Any]:
    """Return a document in which the command of one side failed."""
    for run in document["runs"]:
        if run["side"] == side:
            run["counts"] = False
            run["command"]["exit_status"] = 3
    return document


def test_last_runs_that_failed_are_refused_with_what_to_type(
    capsys: pytest.CaptureFixture[str],
) -> None:
    keep(pairs_document(OLD, NEW))
    keep(command_document(OLD, second=60))
    keep(command_document(NEW, second=120))
    assert ended(["last~1", "last"], capsys)[0] == 0
    keep(failed(command_document(OLD[:1], second=180), "command"))
    keep(failed(pairs_document(OLD, NEW, second=240), "optimized"))
    keep(failed(command_document(OLD[:1], second=300), "command"))
    refused = {
        ("last", "last~2"): "chainbench-agent compare last~3 last~4\n",
        ("last~3", "last"): "chainbench-agent compare last~4 last~3\n",
        ("last~1",): "chainbench-agent compare last~5\n",
        ("last~3", "last~1,side=optimized"): "choose other runs (runs list says which failed)",
    }
    for arguments, instead in refused.items():
        status, printed, said = ended(arguments, capsys)
        assert (status, printed) == (1, "")
        assert ": it exited with status 3)\n" in said
        assert instead in said
    assert "of optimized only (run " not in said
    status, _, said = ended(["last~1,side=optimized"], capsys)
    assert (status, "it has runs of optimized only (runs " in said) == (1, True)


def test_the_rounds_of_a_series_have_the_interval_that_its_report_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where they are kept, and unless another seed is asked for."""
    document = pairs_document(OLD, NEW)
    document["series"]["seed"] = 411833123
    series, file = keep(document), saved(tmp_path, "series.json", document)

    def seed_of(*arguments: str) -> Any:
        status, printed, _ = ended(["--json", *arguments], capsys)
        assert status == 0
        return json.loads(printed)["series"]["seed"]

    assert seed_of(file) == seed_of(series) == seed_of("last") == 411833123
    assert seed_of(f"{file},side=baseline", f"{file},side=optimized") == 411833123
    assert seed_of("last,side=baseline", f"series={series[:8]},side=optimized") == 411833123
    assert seed_of("--seed", "7", file) == 7
    for wrong in (True, -1, "5", 0.5, None):
        document["series"]["seed"] = wrong
        assert seed_of(saved(tmp_path, "other.json", document)) == 1


def test_to_the_rounds_of_a_series_matters_what_did_in_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless something else is asked for. They differ by a tenth."""
    document = pairs_document(OLD, NEW)
    document["series"]["min_effect"] = 0.5
    series, file = keep(document), saved(tmp_path, "series.json", document)
    note = "the smallest difference that matters is the recorded one (50 %)"
    for name in (file, series, "last"):
        status, printed, _ = ended([name], capsys)
        printed = " ".join(printed.split())
        assert (status, note in printed) == (0, True)
        assert printed.startswith("no difference that matters (--min-effect 50 %): ")
    status, printed, _ = ended(["--min-effect", "1%", file], capsys)
    assert (status, "the recorded one" in printed) == (0, False)
    assert printed.startswith("optimized takes 10")
    twenty = json.loads(ended(["--json", "--min-effect", "20%", file], capsys)[1])
    again = saved(tmp_path, "again.json", twenty)  # that of a comparison, not of `run`
    assert note.replace("50", "20") in " ".join(ended([again], capsys)[1].split())
    other = pairs_document(OLD, NEW, second=60)
    other["series"]["min_effect"] = 0.5
    groups = [f"{file},side=baseline", f"{saved(tmp_path, 'other.json', other)},side=optimized"]
    assert json.loads(ended(["--json", *groups], capsys)[1])["series"]["min_effect"] == 0.01
    for wrong in (True, -1, "5", 0, 2, None):
        document["series"]["min_effect"] = wrong
        printed = ended(["--json", saved(tmp_path, "other.json", document)], capsys)[1]
        assert json.loads(printed)["series"]["min_effect"] == 0.01


def test_what_is_no_pair_has_a_seed_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, second in (("one", 0), ("two", 60)):
        document = pairs_document(OLD, NEW, second=second)
        document["series"]["seed"] = 411833123
        saved(tmp_path, f"{name}.json", document)
    sides = [f"{tmp_path}/{name}.json,side=baseline" for name in ("one", "two")]
    assert json.loads(ended(["--json", *sides], capsys)[1])["series"]["seed"] == 1


def test_equals_have_a_floor(capsys: pytest.CaptureFixture[str]) -> None:
    keep(command_document(OLD * 2))
    status, printed, _ = ended(["--aa", "last"], capsys)
    assert status == 0
    assert printed.startswith("A/A: one group of runs, split at random (--seed 1)")
    assert "19 of 20 random splits of these runs differ by less than" in " ".join(printed.split())
    assert ended(["--aa", "last"], capsys)[1] == printed, "the seed decides"


@pytest.mark.parametrize(
    ("which", "options", "status", "said"),
    [
        ("slower", ["--fail-if-slower", "3%"], 2, "slower by more than 3 % beyond doubt"),
        ("slower", ["--fail-if-slower", "50%"], 0, ""),
        ("slower", ["--fail-if-slower", "11%"], 0, "inconclusive, which passes without --strict"),
        ("slower", ["--fail-if-slower", "11%", "--strict"], 3, "inconclusive: it may be slower"),
        ("faster", ["--fail-if-slower", "3%", "--strict"], 0, ""),
        ("slower", [], 0, ""),
    ],
)
def test_the_exit_status_is_for_ci(
    which: str,
    options: Sequence[str],
    status: int,
    said: str,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found, printed, complaint = ended([request.getfixturevalue(which), *options], capsys)
    assert found == status
    assert printed.startswith("optimized takes")
    assert said in " ".join(complaint.split())
    assert bool(said) == bool(complaint)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is nothing to compare: compare BASELINE OPTIMIZED"),
        (["a", "b", "c"], "there are 3 groups, and two are compared"),
        (["--aa", "a", "b"], "--aa takes one group"),
        (["a", "b", "--strict"], "--strict needs --fail-if-slower"),
        (["a", "b", "--across", "kernels"], "there is no 'kernels' (did you mean kernel?)"),
        (["a", "b", "--fail-if-slower", "x"], "must be a percentage"),
        (["a", "b", "--json", "--markdown"], "not allowed with"),
        (["a", "b", "--jsn"], "did you mean --json?"),
    ],
)
def test_mistakes_end_with_1_since_2_is_slower(
    arguments: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(["compare", *arguments]) == 1
    assert said in capsys.readouterr().err


def test_what_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed, said = ended(["abcdef", "fedcba"], capsys)
    assert (status, printed) == (1, "")
    assert said.startswith("chainbench-agent compare: abcdef: no runs are kept in ")
    keep(command_document(OLD))
    said = ended(["abcdef", "last"], capsys)[2]
    assert said.startswith("chainbench-agent compare: abcdef is the beginning of no id")
    assert "is on both sides" in ended(["last", "last"], capsys)[2]
    assert "--aa" in ended(["last"], capsys)[2]


def test_a_refusal_has_its_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    older = {"kernel": "5.15.0"}
    before = saved(tmp_path, "before.json", command_document(OLD, manifest=older))
    after = saved(tmp_path, "after.json", command_document(NEW, second=60))
    status, printed, said = ended([before, after], capsys)
    assert (status, printed) == (1, "")
    assert "not compared: the runs were measured on different kernels" in " ".join(said.split())
    assert "--across kernel" in said
    _, printed, _ = ended([before, after, "--across", "kernel", "--force"], capsys)
    assert "across    kernel" in printed
    _, printed, _ = ended([before, after, "--force"], capsys)
    assert printed.startswith("forced, although the runs were measured on different kernels")


def test_equals_find_nothing(equal: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, printed, _ = ended([equal], capsys)
    assert printed.startswith("~ no difference found (p=")
    assert "would probably have been" in " ".join(printed.split())
    assert "inconclusive: noise" in printed
    assert "blocked: futex" not in printed
    assert "blocked: futex" in ended([equal, "--all"], capsys)[1]


def test_single_runs_decide_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [
        saved(tmp_path, f"{name}.json", good_evidence(run_id=f"run-{name}", started_at=started))
        for name, started in (("a", "2026-03-01T10:00:00Z"), ("b", "2026-03-01T11:00:00Z"))
    ]
    measured = {"measured_from": "2026-03-01T10:00:00Z", "measured_to": "2026-03-01T10:00:01Z"}
    for name in names:
        document = json.loads(Path(name).read_text()) | measured
        Path(name).write_text(json.dumps(document))
    status, printed, _ = ended(names, capsys)
    assert status == 0
    assert printed.startswith("no decision: 1 and 1 run, and a 95 % interval takes 6 of each")
    assert "timed by  for how long was measured" in printed
