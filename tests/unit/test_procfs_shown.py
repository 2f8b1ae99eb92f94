"""Totals from /proc as `show` and `run` print them, and as repeated runs compare them."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from fakes import procfs
from fakes.any_json import JSON
from fakes.sample_evidence import evidence as sample_evidence
from hypothesis import given

from agent.comparison.figures import Figures, counts, times
from agent.run.document import document_of
from agent.run.held import Ended
from agent.run.runs import End, Run
from agent.run.series_plan import BASELINE, OPTIMIZED, SeriesPlan
from agent.show.brief import brief
from agent.show.procfs import IN_FULL, KINDS
from agent.show.text import render
from agent.terminal.width import cells
from agent.words import Json

GOLDEN = Path(__file__).parent / "golden"
REASON = "CAP_BPF and CAP_PERFMON are missing (running as uid 1000)."
COMMAND: Json = {
    "arguments": ["./benchmark"],
    "exit_status": 0,
    "signal": None,
    "wall_ms": 100.0,
    "user_ms": 60.0,
    "system_ms": 20.0,
    "minor_faults": 700,
    "major_faults": 2,
    "voluntary_switches": 30,
    "involuntary_switches": 4,
    "read_bytes": 8192,
    "written_bytes": 0,
    "left_behind": [],
}


def unmeasured(kind: str, tasks: Json | None = None, **changes: Any) -> Json:
    """Return evidence of a run without eBPF."""
    section: Json = {"measured_ms": 2_250.0, "machine": procfs.machine()}
    if tasks is not None:
        section["tasks"] = tasks
    whole = sample_evidence()
    kept = ("run_id", "started_at", "stopped_at", "duration_s", "machine", "labels", "manifest")
    return {
        **{name: whole[name] for name in kept if name in whole},
        "available": False,
        "code": "no_capability",
        "reason": REASON,
        "scope": {"kind": kind},
        "completeness": {"verdict": "invalid", "reasons": [f"no_capability: {REASON}"]},
        "procfs": section,
        **changes,
    }


@pytest.mark.parametrize("kind", ["tree", "machine", "cgroup"])
async def test_the_whole_document(kind: str, tmp_path: Path) -> None:
    of_tasks = {"tree": procfs.of_tree(), "cgroup": await procfs.of_group(tmp_path)}
    scope = {"tree": "pid", "machine": "system", "cgroup": "cgroup"}[kind]
    text = render(unmeasured(scope, of_tasks.get(kind)), None, 80)
    assert text == (GOLDEN / f"procfs-{kind}.txt").read_text(encoding="utf-8")


def test_the_short_report_has_the_tasks_and_says_that_nothing_was_measured() -> None:
    text = brief(unmeasured("pid", procfs.of_tree()))
    assert "evidence  none: CAP_BPF" in text
    assert "Totals from /proc: tasks in scope, at least" in text
    assert "the whole machine" not in text


def test_of_a_command_there_is_what_the_kernel_says_of_it() -> None:
    text = brief(unmeasured("pid", procfs.of_tree(), command=COMMAND))
    assert "Totals of the command" in text
    assert "  switches  30 voluntary, 4 involuntary\n" in text
    assert "  faults    700 without a disk, 2 with a disk\n" in text
    assert text.count("switches ") == 1, "its tasks are followed from outside"
    older = {name: value for name, value in COMMAND.items() if "switches" not in name}
    assert "Totals of the command" not in brief(unmeasured("pid", command=older))


def test_what_is_a_lower_bound_is_not_called_unknown() -> None:
    text = brief(unmeasured("pid", procfs.of_tree()))
    assert "  I/O       at least " in text
    assert "  in part   read_chars, " in text
    assert "unknown" not in text
    without = procfs.of_tree()
    for name in without["missing"][0]["figures"]:
        del without[name]
    text = brief(unmeasured("pid", without))
    assert "  unknown   read_chars, " in text
    assert "in part" not in text


async def test_an_agent_in_the_cgroup_is_said_to_be_counted(tmp_path: Path) -> None:
    tasks = await procfs.of_group(tmp_path)
    assert tasks["includes_agent"] is False
    assert "  agent " not in brief(unmeasured("cgroup", tasks))
    tasks["includes_agent"] = True
    text = brief(unmeasured("cgroup", tasks))
    assert "  agent     it is in this cgroup, and in its figures\n" in text


def test_tasks_that_were_not_followed_have_a_reason() -> None:
    evidence = unmeasured("pid")
    evidence["procfs"]["no_tasks"] = "/proc/7/stat: No such file or directory"
    for text in (brief(evidence), render(evidence)):
        assert "not followed: /proc/7/stat" in " ".join(text.split())


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_no_line_is_wider_than_asked(width: int) -> None:
    evidence = unmeasured("pid", procfs.of_tree())
    evidence["procfs"]["machine"]["disks"][0]["name"] = "d" * 200
    evidence["procfs"]["tasks"]["missing"] = [{"figures": ["f" * 90], "reason": "r " * 300}]
    assert max(map(cells, render(evidence, None, width).splitlines())) <= width


@given(JSON, JSON, JSON)
def test_whatever_a_file_says_there_is_a_report(section: Any, tasks: Any, machine: Any) -> None:
    for found in (section, {"tasks": tasks, "machine": machine}, {"tasks": {"followed": section}}):
        evidence = unmeasured("pid", procfs=found)
        assert render(evidence)
        assert brief(evidence)
        Figures({}, evidence)


# --- compared


def names(evidence: Json, command: Json) -> set[str]:
    figures = [Figures(command, evidence)]
    return {figure.name for figure in (*times(figures), *counts(figures))}


def test_figures_of_a_tree_and_of_its_command() -> None:
    alone = names(unmeasured("pid", procfs.of_tree()), {})
    assert {"/proc: waiting for a CPU", "/proc: user CPU", "/proc: switches, voluntary"} <= alone
    with_command = names(unmeasured("pid", procfs.of_tree()), COMMAND)
    assert {"user CPU", "switches, voluntary", "minor faults", "bytes read"} <= with_command
    # what wait4 says of a command is all of it
    assert not {"/proc: user CPU", "/proc: switches, voluntary"} & with_command


def test_figures_of_the_machine() -> None:
    found = names(unmeasured("system"), {})
    assert {"/proc: context switches", "/proc: held up for I/O", "/proc: vda read"} <= found


def test_totals_are_no_figures_of_a_run_that_was_measured() -> None:
    measured = sample_evidence(procfs=unmeasured("system")["procfs"], available=True)
    assert not {name for name in names(measured, COMMAND) if name.startswith("/proc")}
    assert "minor faults" not in names(measured, COMMAND)


def test_what_is_not_of_all_processes_is_compared_with_nothing() -> None:
    """In `of_tree` the I/O of one of two processes was not shown to the agent."""
    partial = names(unmeasured("pid", procfs.of_tree()), {})
    assert not {"/proc: bytes read", "/proc: calls to read", "/proc: calls to write"} & partial
    whole = procfs.of_tree()
    whole["missing"] = []
    known = names(unmeasured("pid", whole), {})
    assert {"/proc: bytes read", "/proc: calls to read", "/proc: calls to write"} <= known
    assert known - partial == {name for name in known if "bytes" in name or "calls" in name}


def test_repeated_runs_compare_totals() -> None:
    def run(side: str, number: int) -> Run:
        evidence = unmeasured("pid", procfs.of_tree())
        more = 50.0 if side == OPTIMIZED else 0.0
        evidence["procfs"]["tasks"]["wait_ms"] = 10.0 + more + number / 10
        command = {**COMMAND, "minor_faults": 700 + number + 300 * (side == OPTIMIZED)}
        wall_s = 0.1 + more / 1e3 + number / 1e4
        return Run(side, number, True, Ended(0, wall_s, 0.1, 0, None, 1, 0, 0), command, evidence)

    runs = [run(side, number) for number in range(12) for side in (BASELINE, OPTIMIZED)]
    plan = SeriesPlan({BASELINE: ["a"], OPTIMIZED: ["b"]}, most=12, seed=1)
    document = document_of(plan, runs, End("runs"))
    comparison = document["comparison"]
    grown = {row["name"] for row in comparison["changed"] if row["direction"] == "grew"}
    assert "minor faults" in grown
    assert comparison["cause"]["name"] is None


async def test_lower_bounds_are_told_as_that_and_compared_with_nothing(tmp_path: Path) -> None:
    """What was missed between two looks may be all of the difference."""

    def compared(tasks: Json, kind: str) -> Json:
        def run(side: str, number: int) -> Run:
            evidence = unmeasured(kind, deepcopy(tasks))
            slow = side == OPTIMIZED
            evidence["procfs"]["tasks"] |= {"forks": 50 * slow, "user_ms": 10.0 + 50 * slow}
            ended = Ended(0, 0.1 + slow, 0.1, 0, None, 1, 0, 0)
            return Run(side, number, True, ended, {}, evidence)

        runs = [run(side, number) for number in range(12) for side in (BASELINE, OPTIMIZED)]
        plan = SeriesPlan({BASELINE: ["a"], OPTIMIZED: ["b"]}, most=12, seed=1)
        document: Json = document_of(plan, runs, End("runs"))
        return document

    tree = compared(procfs.of_tree(), "pid")
    group = compared(await procfs.of_group(tmp_path), "cgroup")

    def listed(document: Json, *places: str) -> set[str]:
        return {row["name"] for place in places for row in document["comparison"][place]}

    assert listed(tree, "figures", "changed", "appeared") & listed(tree, "at_least") == set()
    assert {"/proc: forks", "/proc: user CPU"} <= listed(tree, "at_least")
    # of a control group the kernel counts all, but for what ends with its thread
    assert "/proc: user CPU" in listed(group, "changed")
    assert "/proc: forks" in listed(group, "at_least") - listed(group, "appeared")
    told = " ".join(brief(tree, 100).split())
    assert "at least, so not compared (baseline, optimized): /proc: " in told
    assert "; /proc: user CPU 10.00 ms, 60.00 ms; " in told.replace("optimized): ", "; ")
    sides = {row["name"]: row["at_least"] for row in tree["sides"][BASELINE]["figures"]}
    assert sides["/proc: user CPU"]
    alone = {**tree, "comparison": {}}
    assert re.search(r"/proc: user CPU +≥ 10\.00 ms ", brief(alone, 100))
    assert "  ≥: at least, as tasks were only looked at now and then\n" in brief(alone, 100)


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (unmeasured("pid", procfs.of_tree()), f"{KINDS['tasks']} in 3 runs; {IN_FULL}"),
        (unmeasured("pid"), f"{KINDS['machine']} in 3 runs; {IN_FULL}"),
        (unmeasured("pid", procfs={"machine": {"missing": []}}), "none in 3 runs"),
        (unmeasured("pid", procfs={}), "none in 3 runs"),
        (sample_evidence(), None),
    ],
)
def test_several_runs_say_whether_there_are_totals_and_where(
    evidence: Json, said: str | None
) -> None:
    ended = Ended(0, 0.1, 0.1, 0, None, 1, 0, 0)
    runs = [Run("command", number, True, ended, {}, evidence) for number in range(3)]
    plan = SeriesPlan({"command": ["a"]}, most=3, seed=1)
    told = " ".join(brief(document_of(plan, runs, End("runs")), 100).split())
    assert (said is not None) == ("totals from /proc: " in told)
    assert said is None or f"totals from /proc: {said}" in told
