"""Which runs the arguments of `compare` mean, and what is said of those that mean none."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.groups import good_evidence, kept, pairs_document, series

from agent.compare.selecting import SIDES, NoRuns, one_group, two_sides
from agent.store.errors import NotFound
from agent.store.run import LABELS, KeptRun


class Kept:
    """Runs by name, and what was asked for by labels."""

    def __init__(self, **runs: Sequence[KeptRun]) -> None:
        self.runs = runs
        self.wanted: list[Mapping[str, str]] = []

    def named(self, name: str) -> Sequence[KeptRun]:
        if name not in self.runs:
            raise NotFound(f"no run begins with {name}")
        return self.runs[name]

    def selected(self, wanted: Mapping[str, str]) -> Sequence[KeptRun]:
        self.wanted.append(wanted)
        return [
            run
            for runs in self.runs.values()
            for run in runs
            if all(run.labels.get(name) == value for name, value in wanted.items())
        ]


PAIRS = series("pairs", {"baseline": [10.0, 11.0], "optimized": [8.0, 9.0]})


def labelled(name: str, **labels: str) -> KeptRun:
    return kept(name, labels=dict.fromkeys(LABELS, "") | labels)


def ids(runs: Sequence[KeptRun]) -> list[str]:
    return [run.id for run in runs]


def test_a_series_has_both_sides() -> None:
    before, after = two_sides(["pairs"], Kept(pairs=PAIRS))
    assert ids(before) == ["pairs-baseline-0", "pairs-baseline-1"]
    assert ids(after) == ["pairs-optimized-0", "pairs-optimized-1"]


def test_several_names_are_one_side() -> None:
    library = Kept(a=[kept("a")], b=[kept("b")], c=[kept("c")])
    before, after = two_sides(["a,b", "c"], library)
    assert (ids(before), ids(after)) == (["a", "b"], ["c"])


def test_labels_gather_runs() -> None:
    library = Kept(
        old=[labelled(f"o{n}", commit="abc", variant="numpy") for n in range(3)],
        new=[labelled(f"n{n}", commit="def", variant="numpy") for n in range(3)],
    )
    before, after = two_sides(["commit=abc,variant=numpy", "commit=def"], library)
    assert (ids(before), ids(after)) == (["o0", "o1", "o2"], ["n0", "n1", "n2"])
    assert library.wanted == [{"commit": "abc", "variant": "numpy"}, {"commit": "def"}]


def test_of_a_series_or_a_file_one_side_can_be_chosen(tmp_path: Path) -> None:
    file = tmp_path / "series.json"
    file.write_text(json.dumps(pairs_document([1.0, 2.0], [3.0, 4.0])))
    for name, library in (("last~1", Kept(**{"last~1": PAIRS})), (str(file), Kept())):
        before, after = two_sides([f"{name},side={side}" for side in SIDES], library)
        assert {run.side for run in before} == {"baseline"}
        assert {run.side for run in after} == {"optimized"}
        assert len(before) == len(after) > 1


def test_a_side_that_is_not_there_is_refused_with_those_that_are() -> None:
    one = series("one", {"command": [1.0, 2.0]})
    assert refused("one,side=baseline", "other", one=one) == (
        "one,side=baseline has no runs of that side; it has: command"
    )
    curl = [kept("curl")]
    assert "it has: none" in refused("curl,side=baseline", "other", curl=curl)


def test_files_are_compared_like_kept_runs(tmp_path: Path) -> None:
    for name in ("old", "new"):
        document = good_evidence(run_id=f"run-of-{name}")
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    names = [str(tmp_path / "old.json"), str(tmp_path / "new.json")]
    before, after = two_sides(names, Kept())
    assert (ids(before), ids(after)) == (["run-of-old"], ["run-of-new"])


def test_a_file_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("commit=a,b").write_text(json.dumps(good_evidence(run_id="first-run")))
    before, _ = two_sides(["commit=a,b", "other"], Kept(other=[kept("other")]))
    assert ids(before) == ["first-run"]


def test_the_newest_is_no_file_and_a_file_no_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("last", "last~1", "abcd-1234"):
        Path(name).write_text(json.dumps(good_evidence(run_id=f"file-{name[:4]}")))
    library = Kept(**{"last": [kept("newest")], "last~1": [kept("one-before")]})
    before, after = two_sides(["last~1", "last"], library)
    assert (ids(before), ids(after)) == (["one-before"], ["newest"])
    before, after = two_sides(["./last", "abcd-1234"], library)
    assert (ids(before), ids(after)) == (["file-last"], ["file-abcd"])
    said = refused("last", "abcd-1234", **library.runs, **{"abcd-1234": [kept("abcd-1234")]})
    assert said.startswith("abcd-1234 is a file here, and a run that is kept: say ./abcd-1234")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO(json.dumps(good_evidence(run_id="from-curl")).encode())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(data))
    before, _ = two_sides(["-", "other"], Kept(other=[kept("other")]))
    assert ids(before) == ["from-curl"]


def refused(*arguments: str, **runs: Any) -> str:
    with pytest.raises(NoRuns) as error:
        two_sides(arguments, Kept(**runs))
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 99}, "it is of schema 99, and this program knows those up to 1"),
        ({"schema": "1"}, "its schema is no number"),
    ],
)
def test_evidence_of_another_schema_is_not_compared(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    file = tmp_path / "later.json"
    file.write_text(json.dumps({**good_evidence(), **changes}))
    told = refused(str(file), "other", other=[kept("other")])
    assert told.startswith("cannot compare ")
    assert said in told


def test_one_command_alone_is_no_comparison() -> None:
    said = refused("one", one=series("one", {"command": [1.0, 2.0]}))
    assert said == (
        "one is no comparison: it has runs of one command. Name the runs to compare it with, or"
        " compare it with itself: --aa"
    )


def test_both_sides_in_one_argument_are_refused() -> None:
    said = refused("pairs", "other", pairs=PAIRS, other=[kept("other")])
    assert said.startswith("pairs has runs of a baseline and of what was compared with it")
    assert said.endswith("as in pairs,side=optimized")
    with pytest.raises(NoRuns):
        one_group("pairs", Kept(pairs=PAIRS))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("", "a"), "an empty name means no runs: give an id, a file, or label=value"),
        (("a,", "b"), "an empty name means no runs"),
        (("a", "commit=none"), "no run has commit=none: chainbench-agent runs list shows"),
        (("a", "branch=x"), "branch=x: a selector is NAME=VALUE,...; the names are scenario"),
        (("a", "commit=x,commit=y"), "commit=x,commit=y: commit is given twice"),
        (("a", "/nowhere/b.json"), "there is no file /nowhere/b.json"),
        (("a", "b.json"), "there is no file b.json"),
        (("a", "\0"), "no run begins with \0"),
        (("a", "c"), "no run begins with c"),
        (("a", "a"), "the run a is on both sides: narrow one of them down with a label"),
        (("a,a", "b"), "a,a has the run a twice: name it once"),
        (("pairs,pairs",), "pairs,pairs has the run pairs-baseline-0 twice: name it once"),
    ],
)
def test_what_means_no_runs_is_told_with_what_to_do(
    arguments: Sequence[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = {"a": [kept("a")], "b": [kept("b", 90.0)], "pairs": PAIRS}
    assert refused(*arguments, **runs).startswith(said)


def test_a_file_that_holds_something_else_is_named(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    file.write_text('{"running": false}')
    said = refused(str(file), "a", a=[kept("a")])
    assert "it is the answer to GET /status" in said
    assert refused(str(tmp_path), "a", a=[kept("a")]).endswith("Is a directory")


def test_a_series_in_two_files_counts_once(tmp_path: Path) -> None:
    document = pairs_document([10.0, 11.0], [8.0, 9.0])
    names = [str(tmp_path / name) for name in ("one.json", "other.json")]
    for name in names:
        Path(name).write_text(json.dumps(document))
    assert "twice: name it once" in refused(",".join(names))


def test_a_series_without_runs_is_told(tmp_path: Path) -> None:
    file = tmp_path / "series.json"
    file.write_text('{"series": {}, "runs": []}')
    assert "has no runs" in refused(str(file), "a", a=[kept("a")])


def test_hostile_names_are_made_printable() -> None:
    assert "\x1b" not in refused("a", "commit=\x1b[31m", a=[kept("a")])
