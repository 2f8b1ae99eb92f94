"""The last run of each make of processor is kept, and a run replaces only its own make's."""

from dataclasses import replace
from pathlib import Path

import pytest
from fakes.overhead import MACHINE

from agent.overhead.results import Result
from benchmarks import kept

AMD = replace(MACHINE, cpu_model="AMD EPYC 9B14")
INTEL = replace(MACHINE, cpu_model="Intel(R) Xeon(R) Processor")
RUN = Result(AMD, "2026-01-01T00:00:00+00:00", 1.0, 0.0, 0.0, (), {}, "abc1234")


@pytest.mark.parametrize(
    ("model", "make"),
    [
        (AMD.cpu_model, "AMD"),
        (INTEL.cpu_model, "Intel"),
        ("Neoverse-N1", "Neoverse-N1"),
        ("", "x86_64"),
    ],
)
def test_the_make_is_the_first_word_of_the_model(model: str, make: str) -> None:
    assert kept.make(replace(MACHINE, cpu_model=model)) == make


def test_a_run_replaces_the_last_one_on_its_make_and_no_other(tmp_path: Path) -> None:
    kept.keep(kept.FULL, replace(RUN, machine=INTEL), tmp_path)
    kept.keep(kept.FULL, RUN, tmp_path)
    later = replace(RUN, commit="def5678")
    file = kept.keep(kept.FULL, later, tmp_path)
    assert file.name == "results-amd.json"
    assert set(kept.results(kept.FULL, tmp_path)) == {file, tmp_path / "results-intel.json"}
    assert kept.results(kept.FULL, tmp_path)[file] == later


def test_a_full_run_replaces_no_targets(tmp_path: Path) -> None:
    targets = kept.keep(kept.TARGETS, RUN, tmp_path)
    kept.keep(kept.FULL, RUN, tmp_path)
    assert set(kept.results(kept.TARGETS, tmp_path)) == {targets}


def test_figures_of_parts_are_read_as_they_were_written(tmp_path: Path) -> None:
    parts = kept.Parts(AMD, {"stop_ms": 3.0}, "2026-01-01", "abc1234")
    kept.keep(kept.PARTS, parts, tmp_path)
    assert kept.parts(tmp_path) == [parts]


def test_every_kept_file_is_named_after_the_make_in_it() -> None:
    for kind in (kept.FULL, kept.TARGETS):
        for file, result in kept.results(kind).items():
            assert file == kept.path(kind, result.machine)
    files = {kept.path(kept.PARTS, part.machine) for part in kept.parts()}
    assert files == set(kept.FOLDER.glob(f"{kept.PARTS}-*.json"))
