"""How alarms are judged and counted, on made-up runs: nothing is run."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

import pytest
from fakes.processes import state_of
from fakes.waiting import eventually

from agent.client.spawn import RunningAgent
from agent.overhead.protocols import Missing, WorkloadFailed
from benchmarks import procfs, verdicts
from benchmarks.pages import RATES_PAGE, rates_page
from benchmarks.verdict_loads import Load, tree
from benchmarks.verdicts import Alarm, Bracket, Rates, Row, proof_of
from benchmarks.verdicts_page import render, write_page

BRACKET = Bracket(around={"context_switches": 1_100}, within={"context_switches": 1_000})


def evidence(*reasons: str, **checks: Any) -> dict[str, Any]:
    failed = [{"name": name, "ours": ours, "pass": False} for name, ours in checks.items()]
    passed = {"name": "forks", "ours": 1, "pass": True}
    return {"completeness": {"reasons": list(reasons)}, "checks": [passed, *failed]}


@pytest.mark.parametrize("reason", ["lost: 3", "unseen: 200 arrivals", "cpus_changed: 0-1, then 0"])
def test_what_was_counted_or_happened_is_a_proof(reason: str) -> None:
    assert proof_of(evidence(reason), BRACKET) == reason


@pytest.mark.parametrize(
    ("ours", "proof"),
    [
        (999, "context_switches: 999 of at least 1000"),
        (1_000, ""),
        (1_100, ""),
        (1_101, "context_switches: 1101 of at most 1100"),
    ],
)
def test_a_count_that_the_kernel_contradicts_is_a_proof(ours: int, proof: str) -> None:
    assert proof_of(evidence("check_failed: …", context_switches=ours), BRACKET) == proof


def test_a_time_has_no_second_account() -> None:
    assert proof_of(evidence("check_failed: …", cpu_time=5), BRACKET) == ""


def alarm(proof: str = "") -> Alarm:
    reasons = ("check_failed: cpu_time: …", "unseen: 30 arrivals")
    return Alarm("idle", "scope", reasons, ({"name": "cpu_time"},), proof)


def rates(*alarms: Alarm) -> Rates:
    rows = (Row("idle", "nothing", "scope", 40, alarms), Row("idle", "nothing", "system", 40))
    return Rates(rows, {"pgbench": Missing("not installed", "apt-get install it")}, 100.0)


def test_the_table_counts_alarms_and_those_that_are_false() -> None:
    text = render(rates(alarm(), alarm("30 unseen")))
    assert "cpu_time 2, unseen 2" in text
    assert "80 runs in 100 s, 1 false alarm, at most 1 of one load: needs 800 runs" in text
    assert "pgbench not run: not installed" in text
    assert "at most 2 of one load: FAIL" in render(rates(alarm(), alarm()))


def test_only_a_full_number_of_runs_passes() -> None:
    row = Row("idle", "nothing", "scope", 800, (alarm(),))
    assert "at most 1 of one load: pass" in render(Rates((row,)))


def test_runs_beside_a_load_that_ended_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def ends() -> Iterator[int]:
        yield os.getpid()
        raise WorkloadFailed("it ended with status 1")

    def goes_on() -> AbstractContextManager[int]:
        return nullcontext(os.getpid())

    loads = [Load(run.__name__, "", lambda: None, run) for run in (ends, goes_on)]
    monkeypatch.setattr(verdicts, "LOADS", loads)
    monkeypatch.setattr(verdicts, "SETTLE_SECONDS", 0)
    monkeypatch.setattr(verdicts, "one_run", lambda *_: None)
    found = verdicts.measure_rates(cast("RunningAgent", None), 8, [], lambda _: None)
    assert [(row.load, row.runs) for row in found.rows] == [("goes_on", 2), ("goes_on", 2)]
    assert found.missing == {"ends": Missing("it ended with status 1")}


def test_the_page_is_made_of_what_was_written() -> None:
    measured = rates(alarm())
    again = Rates.from_json(measured.to_json())
    assert write_page(again, "a machine") == write_page(measured, "a machine")
    assert "| idle: nothing | tree | 40 | 1 | 1 | cpu_time 1, unseen 1 |" in write_page(again, "")


def test_the_page_in_the_docs_is_made_of_the_figures_kept_with_the_suite() -> None:
    assert RATES_PAGE.read_text() == rates_page()


def test_a_load_ends_with_all_its_processes() -> None:
    """Those with a session of their own, as fio's jobs have, are not in its process group."""
    with tree(("sh", "-c", "setsid sleep 1000 & wait")) as root:
        eventually(lambda: len(procfs.tree(root)) == 2)
        pids = procfs.tree(root)
    eventually(lambda: not any(map(state_of, pids)))
