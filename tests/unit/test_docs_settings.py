"""The page on settings lists every option, and every field of what is saved. See test_docs.py."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from fakes.busy_runs import paths
from fakes.command_line import exit_status
from fakes.kept_groups import group, kept
from fakes.pages import DOCS, hold, names
from fakes.sample_evidence import evidence as sample_evidence

from agent import cli
from agent.aggregate.histogram import LatencyHistogram
from agent.comparison.budget import budget_of
from agent.comparison.causes import cause_of
from agent.comparison.designs import PAIRS
from agent.comparison.equals import compare_equals
from agent.comparison.kept import Asked, compare_groups
from agent.run.command import described
from agent.run.document import document_of
from agent.run.held import Ended
from agent.run.processes import Process
from agent.run.runs import End, Run
from agent.run.series_plan import BASELINE, OPTIMIZED, SeriesPlan
from agent.statistics.comparison import shift
from agent.store.rows import Summary
from agent.words import Json

SETTINGS = DOCS / "reference/settings.md"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    usage = capsys.readouterr().out.partition("\n\n")[0]
    in_code = set(re.findall(r"--[a-z][a-z-]*", usage))
    headings = [f"`{command}`", *(["Repeated runs"] if command == "run" else [])]
    documented = [
        name for heading in headings for name in names(SETTINGS, heading) if name.startswith("--")
    ]
    hold(SETTINGS, command, in_code, documented)


@pytest.mark.parametrize("action", ["list", "show", "export", "delete", "import", "limits"])
def test_every_option_of_what_is_done_with_runs(
    action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["runs", action, "--help"])
    usage = capsys.readouterr().out.partition("\n\n")[0]
    heading = f"`runs {action}`"
    documented = [name for name in names(SETTINGS, heading) if name.startswith("--")]
    hold(SETTINGS, heading, re.findall(r"--[a-z][a-z-]*", usage), documented)


def test_every_field_of_a_run_in_a_list() -> None:
    heading = "A run in a list"
    hold(
        SETTINGS,
        heading,
        [field.name for field in dataclasses.fields(Summary)],
        names(SETTINGS, heading),
    )


def test_every_field_of_what_a_command_took() -> None:
    ended = Ended(0, 1.0, 1.0, 1.0, None, 1, 0, 0)
    took = described(["a"], ended, [Process(1, 1, 1, "S", "a")])
    heading = "What a command took"
    hold(SETTINGS, heading, paths(took), names(SETTINGS, heading))


def of_a_cause() -> list[Json]:
    """Return the figures of a cause that is found."""
    runs = [
        budget_of(
            {},
            sample_evidence(
                wall={
                    "available": True,
                    "states": {},
                    "for_busy_cpu_ms": ms,
                    "cpu_ms": 1.0,
                    "throttled_ms": 0.0,
                },
                offcpu={"count": 1},
                stolen_ms=0,
            ),
        )
        for ms in (10.0, 50.0)
    ]
    wall = shift([10.0] * 6, [50.0] * 6)
    found: list[Json] = cause_of(PAIRS, [runs[0]] * 6, [runs[1]] * 6, wall)["figures"]
    return found


def of_much_that_differs() -> Json:
    """Return what is said of runs that have little in common."""
    waits = LatencyHistogram()
    waits.fold(np.arange(1000, 2000))
    section = {**waits.summary(), "hdr": waits.encode()}

    def run(side: str, n: int, reason: str, **changes: Any) -> Run:
        blocked = {"top_reasons": [{"reason": reason, "ms": 50.0 + n}], "other": {"count": 0}}
        whole = sample_evidence(offcpu=blocked, runqlat=section, **changes)
        return Run(side, n, True, Ended(0, 1.0, 1.0, 1.0, None, 1, 0, 0), {}, whole)

    runs = [run(BASELINE, n, "read") for n in range(10)]
    runs += [run(OPTIMIZED, n, "write", exec={}) for n in range(10)]
    plan = SeriesPlan({BASELINE: ["a"], OPTIMIZED: ["b"]}, most=10, seed=1)
    found: Json = document_of(plan, runs, End("runs"))["comparison"]
    names = ("changed", "appeared", "vanished", "on_one_side_only", "shift")
    return {name: found[name] for name in names}


def of_lower_bounds() -> Json:
    """Return what is said of forks that were looked for now and then."""
    tasks = {"forks": 1, "followed": {"last_seen": ["forks"]}}
    seen = {"available": False, "scope": {"kind": "pid"}, "procfs": {"tasks": tasks}}
    ended = Ended(0, 1.0, 1.0, 1.0, None, 1, 0, 0)
    runs = [Run(side, 0, True, ended, {}, seen) for side in (BASELINE, OPTIMIZED)]
    plan = SeriesPlan({BASELINE: ["a"], OPTIMIZED: ["b"]}, most=1, seed=1)
    found: Json = document_of(plan, runs, End("runs"))["comparison"]["at_least"]
    return found


def waiting(ms: float) -> Json:
    """Return the wall time of a run that waited for a CPU."""
    states = {"computing": {"ms": 1.0}}
    return {"available": True, "wall_ms": ms + 1, "states": states, "for_busy_cpu_ms": ms}


def test_every_field_of_a_series() -> None:
    """Of two commands, one of which has an outlier and a figure that is not tested."""
    calls = {f"call_{n}": 1.0 for n in range(30)}
    reasons = [{"reason": name, "ms": ms} for name, ms in calls.items()]
    whole = sample_evidence(
        offcpu={"total_ms": 30.0, "top_reasons": reasons}, wall=waiting(1.0), checks=[]
    )
    runs = [
        Run(
            side,
            n,
            True,
            Ended(0, ms, 1.0, 1.0, None, 1, 0, 0),
            {"user_ms": 1, "system_ms": 1},
            whole,
        )
        for side in (BASELINE, OPTIMIZED)
        for n, ms in enumerate([1.0, 1.1, 0.9, 1.0, 1.0])
    ]
    slow = Ended(0, 9.0, 1.0, 1.0, None, 1, 0, 0)
    waited = {**whole, "wall": waiting(8000.0)}
    runs += [
        Run(side, 5, True, slow, {"user_ms": 8000, "system_ms": 1}, waited)
        for side in (BASELINE, OPTIMIZED)
    ]
    plan = SeriesPlan({BASELINE: ["a"], OPTIMIZED: ["b"]}, most=5, seed=1)
    document = document_of(plan, runs, End("runs"))
    for run in document["runs"]:
        run |= {"command": "documented elsewhere", "evidence": "documented elsewhere"}
    dynamic = {
        r"(commands|sides|comparison\.runs)\.(baseline|optimized)": r"\1.SIDE",
        r"verdicts\.\w+": "verdicts.VERDICT",
        r"(histograms|shift)\.\w+": r"\1.SECTION",
    }
    # nothing is the cause of what five pairs show
    document["comparison"]["cause"]["figures"] = of_a_cause()
    document["comparison"] |= of_much_that_differs() | {"at_least": of_lower_bounds()}
    found = set(paths(document))
    for written, meant in dynamic.items():
        found = {re.sub(written, meant, path) for path in found}
    heading = "What a series holds"
    hold(SETTINGS, heading, found, names(SETTINGS, heading))


def test_every_field_of_a_comparison_of_kept_runs() -> None:
    runs = group(*map(float, range(100, 112)), labels={"commit": "a"})
    document = compare_equals(runs, Asked(across=["kernel"]))
    other = group(*[100.0] * 3, first=20, labels={"machine": "b"})
    forced = compare_groups([*runs, kept(30, counts=False)], other, Asked(force=True))
    dynamic = {
        r"facts\.\w+\.(baseline|optimized)": "facts.FACT.SIDE",
        r"labels\.(baseline|optimized)\.\w+": "labels.SIDE.LABEL",
    }
    forced["compared"]["impossible_times"] = ["run-0"]  # no run here has one
    found = {"compared.why_no_pairs", *paths({"compared": document["compared"]})}
    found |= set(paths({"compared": forced["compared"]}))
    for written, meant in dynamic.items():
        found = {re.sub(written, meant, path) for path in found}
    heading = "What a comparison of kept runs adds"
    hold(SETTINGS, heading, found, names(SETTINGS, heading))


def test_a_mistake_ends_each_command_as_the_page_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin = SETTINGS.read_text().partition("\n## ")[0]
    [said] = [text for text in begin.split("\n\n") if text.startswith("A mistake on the command")]
    assert "status 2" in said
    others = dict.fromkeys(re.findall(r"\[`([a-z]+)`\]", said), 1)
    assert [*others] == ["compare"]
    for words in (parser.prog.split()[1:] for parser in cli._commands_of(cli.build_parser())):
        assert exit_status([*words, "--nonsense"]) == others.get(words[0], 2)
        usage, mistake = capsys.readouterr().err.splitlines()
        assert usage.startswith(f"usage: chainbench-agent {words[0]}")
        assert "error: " in mistake
