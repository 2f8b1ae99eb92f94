import os
import subprocess
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest
from fakes.processes import name_of
from fakes.sample_evidence import evidence
from fakes.waiting import eventually

from agent.client.spawn import RunningAgent
from agent.overhead.protocols import WorkloadFailed
from agent.runs.listing import listed
from agent.store.rows import Summary
from benchmarks import highest_rate, keeping, procfs
from benchmarks.highest_rate import figures_of
from benchmarks.load import make_waits
from benchmarks.micro import event_count, fold_alone, of_collecting


def test_the_counts_of_all_streams_are_added_up() -> None:
    streams = {
        "runqlat": {"produced": 100, "received": 90, "lost": 10, "folded": 9},
        "exec": {"produced": 7, "received": 5, "lost": 0, "folded": 0},
    }
    checks = [
        {"name": "context_switches", "ours": 99, "kernel": 100, "explained": 0},
        {"name": "run_queue_wait", "ours": 120, "kernel": 100, "explained": -18},
    ]
    evidence = {
        "completeness": {"streams": streams},
        "checks": checks,
        "duration_s": 5.0,
        "overhead": {"longest_drain_gap_ms": 7.5},
    }
    assert figures_of("load", evidence) == {
        "load_lost_events": 10,
        "load_unaccounted_events": 2,
        "load_events_per_second": 19,
        "load_folded_percent": 10,
        "load_longest_drain_gap_ms": 7.5,
        "load_switches_off_percent": 1,
        "load_waits_off_percent": 2,
    }


@pytest.mark.parametrize("events", [12, {"runqlat": 10, "exec": 2}])
def test_events_are_summed_over_streams(events: object) -> None:
    assert event_count({"overhead": {"events": events}}) == 12


def test_a_process_is_found_with_its_children() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        pids = procfs.tree(child.pid)
        assert len(pids) == 2
        eventually(lambda: name_of(pids[1]) == "sleep")  # until then, they share their pages
        assert set(pids) < set(procfs.tree(os.getpid()))
        assert procfs.pss_bytes(pids) > procfs.pss_bytes(pids[:1]) > 0
        assert procfs.cpu_ns(pids) > 0
        subprocess.run(["kill", *map(str, pids)], check=True)
    # the shell's own child was reparented: nothing here can wait for it
    eventually(lambda: procfs.pss_bytes(pids) == 0)


def test_the_fold_is_measured() -> None:
    assert fold_alone(values=1000, repeat=1)["fold_ns_per_value"] > 0


def test_keeping_a_run_and_listing_many_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keeping.RUNS == 10_000
    for name, less in (("RUNS", 12), ("KEPT_ALONE", 2), ("AT_ONCE", 5)):
        monkeypatch.setattr(keeping, name, less)
    monkeypatch.setattr(keeping.time, "sleep", lambda _: None)
    found: list[int] = []

    def noting(entries: Sequence[Sequence[Summary]], columns: int) -> str:
        found.append(len(entries))
        return listed(entries, columns)

    monkeypatch.setattr(keeping, "listed", noting)
    agent = SimpleNamespace(post=lambda route, *_: evidence() if route == "/stop" else {})
    figures = keeping.keep_and_list(cast(RunningAgent, agent))
    assert found == [12]
    assert set(figures) == {
        *("keep_run_ms", "keep_run_ms_longest", "kept_run_kb"),
        *("list_10000_runs_ms", "find_runs_by_label_ms"),
    }
    assert min(figures.values()) > 0


@pytest.mark.parametrize("available", [True, False, None])
def test_an_agent_that_attaches_nothing_does_not_look_cheap(available: bool | None) -> None:
    agent = SimpleNamespace(get=lambda _: {"ebpf": {"available": available, "reason": "no BTF"}})
    cheap = {"start_later_ms": 0.1}
    if available is False:
        with pytest.raises(WorkloadFailed, match="cannot collect: no BTF"):
            of_collecting(agent, lambda: cheap)
    else:
        assert of_collecting(agent, lambda: cheap) == cheap


@pytest.mark.parametrize(
    ("command", "error"), [(("no-such-tool",), FileNotFoundError), (("false",), WorkloadFailed)]
)
def test_nothing_is_lost_without_a_load_but_that_is_no_figure(
    command: tuple[str, ...], error: type[Exception]
) -> None:
    serving = {"role": "agent", "pid": os.getpid()}
    agent = SimpleNamespace(get=lambda _: {"processes": [serving]}, post=lambda *_: {})
    with pytest.raises(error):
        highest_rate._under(agent, "load", command, 2, seconds=0.1, stopped_s=0)


def test_the_load_makes_whole_turns() -> None:
    made = make_waits(rate=2000, seconds=0.05)
    assert made > 0
    assert made % 20 == 0
