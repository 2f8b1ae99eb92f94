import json
from dataclasses import replace

import pytest
from fakes.overhead import MACHINE

from agent.overhead.machine import boot_flags, read_machine
from agent.overhead.protocols import Missing
from agent.overhead.results import (
    Incomparable,
    Measured,
    Pair,
    Result,
    WorkloadResult,
    merge,
)
from agent.overhead.table import missing_text, render


def measured(name: str, factor: float, rounds: int = 6) -> Measured:
    pairs = tuple(Pair(r, 1.0, factor * (1 + r / 1000), 1.0) for r in range(rounds))
    return Measured(name, f"the {name}", pairs)


def workload(name: str = "pipe", *series: Measured, **skipped: Missing) -> WorkloadResult:
    return WorkloadResult(name, "turn", (1,), series, skipped)


def result(*workloads: WorkloadResult) -> Result:
    return Result(MACHINE, "2026-01-01T00:00:00+00:00", 60.0, 0.1, 1.0, workloads, {})


RESULT = replace(
    result(
        workload(
            "pipe",
            measured("nothing", 0.998),
            replace(measured("runqlat", 1.15), remarks=("lost 3 events",)),
            measured("cheap", 0.999),
            bpftrace=Missing("not installed", "apt-get install bpftrace"),
        )
    ),
    skipped={"fio": Missing("fio is not installed", "apt-get install fio")},
)


def test_json_round_trip() -> None:
    assert Result.from_json(json.loads(json.dumps(RESULT.to_json()))) == RESULT


def test_the_commit_is_kept_and_results_without_one_are_read() -> None:
    data = replace(RESULT, commit="abc1234").to_json()
    assert Result.from_json(json.loads(json.dumps(data))).commit == "abc1234"
    del data["commit"]
    assert Result.from_json(data).commit == ""


def test_different_commits_are_not_merged() -> None:
    with pytest.raises(Incomparable, match="abc1234 / not recorded"):
        merge(replace(RESULT, commit="abc1234"), RESULT)


def test_another_schema_is_refused() -> None:
    with pytest.raises(Incomparable, match="schema 99"):
        Result.from_json({**RESULT.to_json(), "schema": 99})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", "other"),
        ("kernel", "5.10.0"),
        ("cpus", 64),
        ("governor", "powersave"),
        ("mitigations", {"spectre_v2": "Vulnerable"}),
        ("versions", {"agent": "0.2.0"}),
    ],
)
def test_results_of_different_machines_refuse_to_be_merged(field: str, value: object) -> None:
    other = replace(RESULT, machine=replace(MACHINE, **{field: value}))  # type: ignore[arg-type]
    with pytest.raises(Incomparable, match=f"different machines.*{field}"):
        merge(RESULT, other)


def test_merging_joins_pairs_and_keeps_rounds_apart() -> None:
    both = merge(result(workload("pipe", measured("x", 1.1))), RESULT)
    pipe = both.workload("pipe")
    assert pipe is not None
    assert [m.name for m in pipe.measured] == ["x", "nothing", "runqlat", "cheap"]
    twice = merge(RESULT, RESULT).workload("pipe")
    assert twice is not None
    runqlat = twice.configuration("runqlat")
    assert runqlat is not None
    assert [pair.round for pair in runqlat.pairs] == list(range(12))
    assert runqlat.remarks == ("lost 3 events",)


def test_merging_forgets_that_something_was_skipped_once_it_was_measured() -> None:
    measured_later = result(workload("pipe", measured("bpftrace", 1.4)), workload("fio"))
    both = merge(RESULT, measured_later)
    pipe = both.workload("pipe")
    assert pipe is not None
    assert pipe.skipped == {}
    assert both.skipped == {}


def test_workloads_on_other_cpus_do_not_merge() -> None:
    moved = result(replace(RESULT.workloads[0], cpus=(0,)))
    with pytest.raises(Incomparable, match="pipe"):
        merge(RESULT, moved)


def test_ratio_of_two_configurations() -> None:
    pipe = workload("pipe", measured("a", 1.1), measured("b", 1.2))
    ratio = pipe.ratio("a", "b")
    assert ratio is not None
    assert ratio.low <= ratio.middle <= ratio.high
    assert ratio.middle == pytest.approx(0.5, abs=0.01)
    assert pipe.ratio("a", "absent") is None


def test_table_says_what_was_measured_what_is_noise_and_what_was_skipped() -> None:
    text = render(RESULT)
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert lines["the nothing"].endswith("noise floor 0.2%")
    assert "no difference" in lines["the cheap"]
    assert "+15.3%" in lines["the runqlat"]
    assert "1.151 - 1.155" in lines["the runqlat"]
    assert "runqlat: lost 3 events" in text
    assert "skipped: bpftrace: not installed (apt-get install bpftrace)" in text
    assert "not run: fio: fio is not installed (apt-get install fio)" in text
    assert "spectre_v2" in text
    assert "meltdown" not in text


def test_this_machine_can_be_read_and_equals_itself() -> None:
    machine = read_machine({"perf": "6.1"})
    assert machine.cpus > 0
    assert machine.versions["perf"] == "6.1"
    assert machine.differences(read_machine({"perf": "6.1"})) == ""
    assert "versions" in machine.differences(read_machine())
    assert type(machine).from_json(json.loads(json.dumps(RESULT.to_json()))["machine"]) == MACHINE


def test_only_boot_flags_that_change_costs_are_kept() -> None:
    line = "root=/dev/vda secret=x mitigations=off nohz_full=1-3 quiet"
    assert boot_flags(line) == ("mitigations=off", "nohz_full=1-3")


@pytest.mark.parametrize("rounds", [1, 5])
def test_few_pairs_have_no_interval_and_are_listed(rounds: int) -> None:
    text = render(
        result(workload("pipe", measured("nothing", 1.0, rounds), measured("slow", 2.0, rounds)))
    )
    line = next(line for line in text.splitlines() if line.startswith("the slow"))
    assert " none " in line
    assert "inf" not in text
    assert "no difference" not in text
    assert "; noise floor not known" in text
    assert "fewer than 6 pairs have no 95 % interval" in text
    values = ", ".join(f"{2 * (1 + r / 1000):.3f}" for r in range(rounds))
    assert f"    slow: {values}\n" in text
    enough = render(result(workload("pipe", measured("nothing", 1.0), measured("slow", 2.0))))
    assert "none" not in enough
    assert "fewer than" not in enough


def test_a_measurement_that_ended_early_says_so_and_stays_so_in_json_and_merged() -> None:
    early = result(replace(RESULT.workloads[0], ended="run 9 of 99 failed"))
    assert "  ended early: run 9 of 99 failed\n" in render(early)
    assert Result.from_json(json.loads(json.dumps(early.to_json()))) == early
    assert merge(early, RESULT).workloads[0].ended == "run 9 of 99 failed"
    assert "ended early" not in render(RESULT)
    older = RESULT.to_json()
    for one in older["workloads"]:
        del one["ended"]
    assert Result.from_json(json.loads(json.dumps(older))) == RESULT


@pytest.mark.parametrize("width", [20, 40, 59, 60, 76, 80, 120])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    long = Missing("first the cause; " + "then a long log " * 30, "apt-get install " + "x" * 90)
    machine = replace(MACHINE, mitigations={f"flaw_{n}": "Mitigation: yes" for n in range(20)})
    text = render(
        replace(result(workload("pipe", measured("nothing", 1.0), a=long)), machine=machine), width
    )
    assert max(map(len, text.splitlines())) <= width
    words = "".join(text.split())
    for said in ("firstthecause", "1.002", "noisefloor", "x" * 90, "flaw_19"):
        assert said in words


def test_the_cause_precedes_the_last_lines_of_a_log() -> None:
    reason = "cannot reach the agent: refused\nlistening on x\n\nunrelated last line\n"
    assert missing_text(Missing(reason)) == (
        "cannot reach the agent: refused; listening on x; unrelated last line"
    )
    long = "\n".join(f"line {number}" for number in range(50))
    assert missing_text(Missing(f"cause\n{long}", "cure")) == (
        "cause; line 0; line 1; line 2; ...; line 46; line 47; line 48; line 49 (cure)"
    )
    assert missing_text(Missing(" \n")) == "no reason given"


def test_reasons_are_one_line_and_given_once() -> None:
    crash = Missing("Traceback:\n  File x\nKeyError: 'y'\n", "make y")
    text = render(result(workload("pipe", measured("nothing", 1.0), a=crash, b=crash)))
    assert "  skipped: a, b: KeyError: 'y' (make y)\n" in text
    assert "Traceback" not in text
