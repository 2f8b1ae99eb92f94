"""The suite's output and choices, on made-up results: nothing is run."""

from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fakes.overhead import MACHINE, FakeConfiguration, FakeWorkload, World

from agent.overhead.interleave import Schedule
from agent.overhead.protocols import Absent, CannotMeasure, Missing, WorkloadFailed
from agent.overhead.results import Measured, Pair, Result, WorkloadResult
from benchmarks import suite
from benchmarks.__main__ import main as benchmarks
from benchmarks.chart import draw
from benchmarks.configurations import configurations
from benchmarks.kept import Parts
from benchmarks.results_page import write_page
from benchmarks.suite import (
    FOR_TARGETS,
    MORE_ROUNDS,
    SHOWN,
    Selection,
    _measure_workloads,
    known_names,
)
from benchmarks.targets import (
    ENOUGH_PAIRS,
    FAIL,
    FIGURES,
    HELD,
    PASS,
    RATIOS,
    REPORTED,
    UNKNOWN,
    failed,
    held_rows,
    part_rows,
    ratio_rows,
)

SVG = "{http://www.w3.org/2000/svg}"


def measured(name: str, factor: float, label: str = "", pairs: int = 11) -> Measured:
    middle = pairs // 2
    made = tuple(Pair(r, 1.0, factor + (r - middle) / 5000, 1.0) for r in range(pairs))
    return Measured(name, label or name, made)


def result(pairs: int = 11, **workloads: dict[str, float]) -> Result:
    made = tuple(
        WorkloadResult(
            name, "turn", None, tuple(measured(key, f, "", pairs) for key, f in factors.items()), {}
        )
        for name, factors in workloads.items()
    )
    return Result(MACHINE, "2026-01-01T10:20:30+00:00", 1.0, 0.0, 0.0, made, {}, "abc1234")


GOOD = {
    "nothing": 1.0,
    "floor-clock": 1.10,
    "runqlat": 1.12,
    "all": 1.20,
    "all-accounting": 1.15,
    "all-perf": 1.20,
    "bcc-runqlat": 1.38,
    "bpftrace": 1.44,
    "floor-all": 1.18,
    "libbpf-all": 3.0,
}


def test_an_abbreviated_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmarks(["verdicts", "--run", "1"])
    assert "unrecognized arguments: --run 1" in capsys.readouterr().err


def test_the_targets_pass_and_fail_by_their_own_row() -> None:
    good = result(pipe=GOOD, pgbench={"nothing": 1.0, "all": 1.01})
    rows = {row.text: row for row in ratio_rows(good)}
    assert not failed(rows.values())
    assert rows["pgbench with all five, slowdown"].verdict == PASS
    assert rows["fio with all five, slowdown"].verdict == UNKNOWN
    bad = ratio_rows(result(pipe={**GOOD, "all-perf": 1.25}))
    assert [row.text for row in failed(bad)] == [RATIOS[0].text]


def test_what_must_hold_is_judged_by_the_upper_end_of_the_interval() -> None:
    good = held_rows(result(60, pipe=GOOD))
    assert [row.verdict for row in good] == [PASS] * len(HELD)
    assert good[0].found.startswith("1.2")
    # the ratio is 1.2 as before, but the rounds differ by more
    [pipe] = result(60, pipe=GOOD).workloads
    spread = tuple(
        replace(one, pairs=tuple(map(disturbed, one.pairs))) if one.name == "runqlat" else one
        for one in pipe.measured
    )
    row = held_rows(replace(result(), workloads=(replace(pipe, measured=spread),)))[0]
    assert row.found.startswith("1.2")
    assert row.verdict == FAIL


def disturbed(pair: Pair) -> Pair:
    return replace(pair, armed=pair.armed + 0.06 * (pair.round % 5 - 2))


def test_what_must_hold_is_not_judged_from_too_few_pairs() -> None:
    rows = held_rows(result(59, pipe={**GOOD, "runqlat": 9.0}))
    assert {row.verdict for row in rows} == {f"59 pairs, needs {ENOUGH_PAIRS}"}
    assert all(row.found for row in rows), "what was measured is shown all the same"


def test_what_others_cost_is_reported_and_not_judged() -> None:
    rows = {row.text: row for row in ratio_rows(result(pipe={**GOOD, "bcc-runqlat": 1.01}))}
    row = rows["all five / bcc runqlat"]
    assert (row.limit, row.verdict) == ("", REPORTED)
    assert row.found.startswith("20.")


def test_an_application_may_be_as_slow_as_the_noise_floor() -> None:
    noisy = result(pgbench={"nothing": 1.05, "all": 1.04})
    slow = result(pgbench={"nothing": 1.0, "all": 1.04})
    assert ratio_rows(noisy)[len(RATIOS)].verdict == PASS
    assert ratio_rows(slow)[len(RATIOS)].verdict == FAIL


def test_nothing_measured_is_nothing_claimed() -> None:
    rows = held_rows(None) + ratio_rows(None) + part_rows({})
    assert {row.verdict for row in rows} == {UNKNOWN}


def test_part_targets_are_upper_limits() -> None:
    rows = {row.text: row for row in part_rows({"stop_ms": 25, "hackbench_lost_events": 1})}
    assert rows["/stop, median ms"].verdict == PASS
    assert rows["lost events, hackbench on all CPUs"].verdict == FAIL


def test_the_picture_is_well_formed_and_shows_every_configuration() -> None:
    series = [measured(name, factor) for name, factor in GOOD.items()]
    series.append(measured("slow", 9.0, label='<callback & "quotes">'))
    workload = WorkloadResult("pipe", "turn", (1,), tuple(series), {})
    root = ElementTree.fromstring(draw(result(), workload))
    words = [element.text for element in root.iter(f"{SVG}text")]
    for one in series:
        assert one.label in words
    assert "+20.0%" in words
    assert "no difference" in words
    assert "+800.0%" in words
    (band,) = root.iter(f"{SVG}rect")
    assert float(band.attrib["width"]) > 0
    arrows = list(root.iter(f"{SVG}path"))
    assert len(arrows) == 2, "slow and libbpf-all are off the scale"


def test_the_chart_puts_cheap_left_of_expensive() -> None:
    workload = result(pipe=GOOD).workloads[0]
    root = ElementTree.fromstring(draw(result(), workload))
    dots = [float(e.attrib["cx"]) for e in root.iter(f"{SVG}circle")][3:]
    assert len(dots) == len(GOOD) - 1, "one is off the scale"
    assert dots == sorted(dots)
    assert all(0 < x < 820 for x in dots)


@pytest.mark.parametrize("factor", [0.5, 0.999, 1.0, 1.0001, 60.0])
def test_the_picture_survives_any_range(factor: float) -> None:
    workload = result(pipe={"nothing": 1.0, "x": factor}).workloads[0]
    ElementTree.fromstring(draw(result(), workload))


def test_the_page_has_targets_tables_pictures_and_what_did_not_run() -> None:
    run = replace(result(pipe=GOOD), skipped={"fio": Missing("no disk")})
    page = write_page([run], [], [Parts(MACHINE, {"stop_ms": 3.0})], [], ["results-some-pipe.svg"])
    assert "| all five / bcc runqlat |  | 0.53 (" in page
    assert "| /stop, median ms | ≤ 25 | 3 | pass |" in page
    assert "![results-some-pipe.svg](results-some-pipe.svg)" in page
    assert "* Some, 2026-01-01 10:20: fio: no disk" in page
    assert "Some CPU" in page
    assert "commit abc1234" in page


def test_the_page_has_the_makes_of_processor_side_by_side() -> None:
    other = replace(
        result(60, pipe={"runqlat": 1.45, "floor-clock": 1.4}),
        machine=replace(MACHINE, cpu_model="Intel(R) Xeon(R) Processor"),
        started="2026-02-03T04:05:06+00:00",
        commit="",
    )
    runs = [result(pipe=GOOD), other]
    page = write_page(runs, runs, [], [], [])
    assert "Some, 2026-01-01 10:20: slowdown" in page
    assert "Intel, 2026-02-03 04:05: slowdown" in page
    [row] = [line for line in page.splitlines() if line.startswith("| runqlat | 1.120 |")]
    assert "| 1.450 |" in row
    [row] = [line for line in page.splitlines() if line.startswith("| all | 1.200 |")]
    assert row.endswith("| not measured |  |  |  |")
    [row] = [line for line in page.splitlines() if line.startswith(f"| {HELD[0].text} |")]
    assert f"11 pairs, needs {ENOUGH_PAIRS}" in row
    assert row.endswith("| pass |"), "each run has a verdict of its own"
    assert "commit not recorded" in page


def test_each_pair_of_the_targets_has_an_agent_that_was_just_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[Selection] = []

    def one_start(selection: Selection, *_: object) -> Result:
        measured.append(selection)
        return result(1, pipe=GOOD)

    monkeypatch.setattr(suite, "measure_all", one_start)
    found = suite.measure_targets(3, lambda _progress: None, lambda _text: None)
    assert measured == [Selection(False, 1, frozenset(FOR_TARGETS))] * 3
    [pipe] = found.workloads
    assert pipe.shared_rounds("all", "floor-all") == 3


@pytest.mark.usefixtures("every_tool")
def test_names_on_the_command_line_are_checked() -> None:
    known = known_names()
    assert not known.refuse(["pipe", "fio", "runqlat", "bpftrace", "all-perf"], full=True)
    refusal = known.refuse(["pipe", "runqlatt", "nonsense"], full=True)
    assert refusal.startswith("unknown workload or configuration: runqlatt, nonsense\n")
    for name in ("pipe", "pgbench", "all-accounting", "bpftrace"):
        assert name in refusal


@pytest.mark.usefixtures("every_tool")
def test_a_workload_of_the_full_mode_is_not_silently_replaced() -> None:
    assert known_names().refuse(["pipe", "fio"], full=False) == "only with --full: fio"
    assert not known_names().refuse(["pipe"], full=False)


@pytest.mark.usefixtures("every_tool")
@pytest.mark.parametrize("full", [[], ["--full"]])
def test_a_name_that_does_not_exist_lists_those_that_do(
    full: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmarks(["overhead", *full, "--only", "nonsense"]) == 2
    told = capsys.readouterr().err
    assert "unknown workload or configuration: nonsense" in told
    assert "workloads: pipe" in told
    assert "configurations: nothing" in told


def test_every_name_in_the_plan_exists() -> None:
    names = {name for shown in SHOWN.values() for name in shown}
    targets = {
        name
        for target in (*HELD, *RATIOS, *FIGURES)
        for name in (target.numerator, target.denominator)
    }
    assert not known_names().refuse([*SHOWN, *MORE_ROUNDS, *names, *targets], full=True)


def test_only_chooses_workloads_and_configurations_and_keeps_the_noise_floor() -> None:
    with ExitStack() as stack:
        offered = configurations(Missing("no agent here"), stack)
    chosen = Selection(True, 5, frozenset({"fio", "runqlat"}))
    assert [workload.name for workload in chosen.workloads()] == ["fio"]
    names = [c.name for c in chosen.configurations("fio", offered)]
    assert names == ["nothing", "runqlat"]
    everything = Selection(True, 5).configurations("pipe", offered)
    assert len(everything) == len(offered)
    assert len(Selection(False, 5).configurations("pipe", offered)) < len(offered)


def test_what_is_noisy_is_run_more_often() -> None:
    selection = Selection(True, 10)
    assert selection.schedule("pipe").rounds == 10
    assert selection.schedule("fio").rounds == selection.schedule("pgbench").rounds == 30


class OneWorkload:
    """A selection of one workload, with what is offered, in six rounds."""

    def __init__(self, workload: FakeWorkload) -> None:
        self._workload = workload

    def workloads(self) -> list[FakeWorkload]:
        return [self._workload]

    def configurations(
        self, _name: str, offered: list[FakeConfiguration]
    ) -> list[FakeConfiguration]:
        return offered

    def schedule(self, _name: str) -> Schedule:
        return Schedule(6)


@pytest.mark.parametrize(("failing", "kept"), [(2, False), (12, True)])
def test_a_workload_that_fails_late_keeps_what_was_measured(failing: int, kept: bool) -> None:
    runs = count(1)

    def noise() -> float:
        if next(runs) == failing:
            raise WorkloadFailed("out of luck")
        return 1.0

    world, said = World(), list[str]()
    selection = OneWorkload(FakeWorkload(world, noise=noise))
    measured, skipped = _measure_workloads(
        selection,  # type: ignore[arg-type]
        [FakeConfiguration(world, "x")],
        lambda _progress: None,
        said.append,
    )
    assert [workload.name for workload in measured] == ["fake"] * kept
    assert list(skipped) == ([] if kept else ["fake"])
    assert f"run {failing} of 21 (" in said[0]


def test_without_an_agent_its_configurations_say_why() -> None:
    absent = Absent("all", "all five", Missing("it crashed"))
    assert absent.check() == Missing("it crashed")
    with pytest.raises(CannotMeasure, match="crashed"):
        absent.armed()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"machine": 1}', "\x00", None])
def test_files_without_results_are_named(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    if content is not None:
        file.write_text(content)
    assert benchmarks(["merge", str(file)]) == 1
    assert capsys.readouterr().err.startswith(str(file))


def test_results_that_could_not_be_written_are_not_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out in (tmp_path, tmp_path / "no" / "results.json"):
        with pytest.raises(SystemExit):
            benchmarks(["overhead", "--out", str(out)])
        assert f"{out} is a directory, or is in one that does not exist" in capsys.readouterr().err
