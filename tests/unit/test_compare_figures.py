"""What is compared of two groups of kept runs: figures, quantiles, causes, and their times."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes.kept_groups import blocks, compared, group, kept, noise, times
from fakes.sample_evidence import evidence, latency

from agent.aggregate.histogram import LatencyHistogram
from agent.comparison.comparable import NotComparable
from agent.show.text import render

TEN = range(10)


def reasons(**ms: float) -> dict[str, Any]:
    """Return evidence of a run that was blocked for these reasons, and for no others."""
    rows = [{"reason": name, "ms": value} for name, value in ms.items()]
    return evidence(
        offcpu={"total_ms": sum(ms.values()), "top_reasons": rows, "other": {"ms": 0, "count": 0}}
    )


def named(listed: list[dict[str, Any]], name: str) -> dict[str, Any]:
    [found] = [one for one in listed if one["name"] == name]
    return found


def test_figures_that_differ_are_found_among_those_that_do_not() -> None:
    before = [kept(2 * n, 100, evidence=reasons(fsync=30 + noise(n), read=20)) for n in TEN]
    after = [kept(2 * n + 1, 75, evidence=reasons(fsync=5 + noise(n), read=20)) for n in TEN]
    found = compared(before, after)["comparison"]
    fsync = named(found["figures"], "blocked: fsync")
    assert (fsync["outcome"], fsync["kind"], fsync["pairs"]) == ("smaller", "time", None)
    assert fsync["difference"]["middle"] == pytest.approx(-25, abs=0.5)
    assert fsync["adjusted_p"] > fsync["p"]
    assert named(found["figures"], "blocked: read")["outcome"] == "undecided"
    changed = named(found["changed"], "blocked: fsync")
    assert (changed["direction"], changed["wall_ms"]) == ("shrank", None), "there is no budget"


def test_what_appears_or_vanishes_is_no_ratio() -> None:
    before = [kept(2 * n, 100, evidence=reasons(read=20, poll=3 * (n > 6))) for n in TEN]
    after = [kept(2 * n + 1, 100, evidence=reasons(read=20, futex=30 + noise(n))) for n in TEN]
    found = compared(before, after)["comparison"]
    assert [(one["name"], one["occurs_in"], one["runs"]) for one in found["appeared"]] == [
        ("blocked: futex", [0, 10], [10, 10])
    ]
    [vanished] = found["vanished"]
    assert (vanished["name"], vanished["occurs_in"]) == ("blocked: poll", [3, 0])


def test_what_is_known_of_one_side_only_is_named() -> None:
    without = evidence()
    del without["exec"]
    before, after = group(*times(100)), group(*times(100), first=10, evidence=without)
    found = compared(before, after)["comparison"]
    assert {"name": "execs", "side": "baseline"} in found["on_one_side_only"]
    assert "execs" not in [one["name"] for one in found["figures"]]


def waits(us: float, count: int = 1000) -> dict[str, Any]:
    """Return a section of waits for a CPU of about this length."""
    histogram = LatencyHistogram()
    random = np.random.default_rng(int(us))
    histogram.fold((us * 1000 * random.lognormal(0, 0.5, count)).astype(np.int64))
    return latency(**histogram.summary(), hdr=histogram.encode())


def test_distributions_differ_quantile_by_quantile() -> None:
    before = [kept(2 * n, 100, evidence=evidence(runqlat=waits(10 + n / 10))) for n in TEN]
    after = [kept(2 * n + 1, 100, evidence=evidence(runqlat=waits(20 + n / 10))) for n in TEN]
    rows = compared(before, after)["comparison"]["shift"]["runqlat"]
    quantiles = [row["quantile"] for row in rows]
    assert quantiles == [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999], "1000 samples have no more"
    for row in rows:
        assert row["difference_us"]["low"] > 0
        assert row["runs"] == [10, 10]
    median = rows[2]
    assert median["difference_us"]["middle"] == pytest.approx(10, abs=1)
    assert rows[-1]["difference_us"]["middle"] > 2 * median["difference_us"]["middle"]
    assert median["change_pct"]["middle"] == pytest.approx(100, abs=10)


def test_no_quantile_shrinks_by_more_than_all_of_it() -> None:
    uneven = [kept(2 * n, 100, evidence=evidence(runqlat=waits(10 * 2**n))) for n in TEN]
    short = [kept(2 * n + 1, 100, evidence=evidence(runqlat=waits(5))) for n in TEN]
    for row in compared(uneven, short)["comparison"]["shift"]["runqlat"]:
        assert row["difference_us"]["low"] < -row["baseline_us"], "of the slowest runs"
        assert -100 < row["change_pct"]["low"] < row["change_pct"]["middle"] < 0


def test_the_99th_percentile_of_few_samples_is_left_out() -> None:
    few = [kept(n, 100, evidence=evidence(runqlat=waits(10, count=99))) for n in TEN]
    many = [kept(10 + n, 100, evidence=evidence(runqlat=waits(10, count=100))) for n in TEN]
    found = compared(few, many)["comparison"]
    assert named(found["figures"], "p95: waiting for a CPU")["kind"] == "percentile"
    assert "p99: waiting for a CPU" not in [one["name"] for one in found["figures"]]
    assert {"name": "p99: waiting for a CPU", "side": "optimized"} in found["on_one_side_only"]
    assert max(row["quantile"] for row in found["shift"]["runqlat"]) == 0.95


def test_a_percentile_matters_by_its_own_size() -> None:
    """A microsecond is nothing of the wall time, and a tenth of a percentile."""
    before = [kept(2 * n, 100, evidence=evidence(runqlat=latency(p95_us=10))) for n in TEN]
    after = [kept(2 * n + 1, 100, evidence=evidence(runqlat=latency(p95_us=11))) for n in TEN]
    found = compared(before, after)["comparison"]
    assert named(found["figures"], "p95: waiting for a CPU")["outcome"] == "larger"


def budget(computing: float, fsync: float) -> dict[str, Any]:
    wall = {
        "available": True,
        "wall_ms": computing + fsync,
        "states": {
            "computing": {"ms": computing},
            "waiting_for_cpu": {"ms": 0.0},
            "blocked": {"ms": fsync},
        },
        "cpu_ms": computing,
        "for_busy_cpu_ms": 0.0,
        "for_idle_cpu_ms": 0.0,
        "blocked_until": [{"reason": "fsync", "command": "dd", "ms": fsync, "count": 10}],
        "blocked_other_ms": 0.0,
        "throttled_ms": 0.0,
    }
    whole = evidence(wall=wall, stolen_ms=0, checks=[])
    whole["offcpu"] = {
        "total_ms": fsync,
        "count": 10,
        "top_reasons": [{"reason": "fsync", "ms": fsync, "interruptible_ms": 0.0}],
        "other": {"ms": 0, "count": 0},
    }
    whole["exec"] |= {"forks": 0}
    return whole


def with_budgets(*parts: float) -> list[Any]:
    [computing, fsync, first] = parts
    return [
        kept(
            2 * n + int(first),
            computing + fsync + noise(n),
            evidence=budget(computing + noise(n), fsync + noise(n + 3) / 10),
        )
        for n in TEN
    ]


def test_the_cause_is_found_from_groups_as_from_pairs() -> None:
    found = compared(with_budgets(20, 5, 0), with_budgets(60, 5, 1))["comparison"]
    cause = found["cause"]
    assert (cause["name"], cause["part"]) == ("more computing", "computing")
    assert cause["part_ms"] == pytest.approx(40, abs=0.5)
    assert found["parts"][0]["name"] == "computing"
    assert found["parts"][0]["difference_ms"]["middle"] == pytest.approx(40, abs=0.5)
    back = compared(with_budgets(60, 5, 0), with_budgets(20, 5, 1))["comparison"]["cause"]
    assert (back["name"], back["difference_ms"]["middle"]) == (
        "more computing",
        pytest.approx(-40, abs=0.5),
    )


def test_what_changed_is_ranked_by_what_it_means_for_the_wall_time() -> None:
    found = compared(with_budgets(20, 5, 0), with_budgets(60, 15, 1))["comparison"]
    ranked = [(one["name"], one["wall_ms"]) for one in found["changed"]]
    assert ranked[0] == ("wall: computing", pytest.approx(40, abs=0.5))
    assert {name for name, _ in ranked[1:4]} == {"wall: blocked", "blocked", "blocked: fsync"}
    assert all(ms == pytest.approx(10, abs=0.5) for _, ms in ranked[1:4])


def test_which_figures_are_tested_does_not_depend_on_the_side() -> None:
    before, after = with_budgets(20, 5, 0), with_budgets(60, 15, 1)
    one, other = compared(before, after)["comparison"], compared(after, before)["comparison"]
    assert [row["name"] for row in one["figures"]] == [row["name"] for row in other["figures"]]


def test_runs_without_a_command_are_timed_by_their_evidence() -> None:
    def from_curl(n: int, ms: float) -> Any:
        whole = evidence(wall={"available": True, "wall_ms": ms, "states": {}})
        return kept(n, None, evidence=whole)

    before = [from_curl(2 * n, ms) for n, ms in enumerate(times(100))]
    after = [from_curl(2 * n + 1, ms) for n, ms in enumerate(times(80))]
    document = compared(before, after)
    assert document["compared"]["timed_by"] == "evidence"
    assert document["comparison"]["outcome"] == "smaller"
    assert document["sides"]["baseline"]["user_ms_mean"] is None
    timed = [kept(30 + n, 80, evidence=run.evidence) for n, run in enumerate(after)]
    mixed = compared(before, timed)
    assert mixed["compared"]["timed_by"] == "evidence", "all by the same"


@pytest.mark.parametrize("ms", [0, -5.0, 1e300])
def test_a_time_that_no_command_takes_is_not_used_and_that_is_said_first(ms: float) -> None:
    seen = evidence(wall={"available": True, "wall_ms": 50.0})
    before, after = blocks(times(100), times(80), evidence=seen)
    command = {**after[3].command, "wall_ms": ms}
    after[3] = replace(after[3], command=command)
    document = compared(before, after)
    assert document["compared"]["timed_by"] == "evidence"
    assert document["compared"]["impossible_times"] == [after[3].id]
    first = render(document).partition("\n~ no")[0].replace("\n", " ")
    assert "0, below 0 or beyond measure in 1 run (the first is run-13)" in " ".join(first.split())
    assert "all are compared by the wall time in the evidence" in " ".join(first.split())
    assert compared(before, before[:6])["compared"]["impossible_times"] == []


def test_runs_of_the_whole_machine_are_timed_by_how_long_was_measured() -> None:
    def measured(n: int, ms: int) -> Any:
        ends = {"measured_from": "2026-03-01T10:11:12.000+00:00"}
        ends["measured_to"] = f"2026-03-01T10:11:12.{ms:03}+00:00"
        return kept(n, None, evidence=evidence(**ends))

    document = compared([measured(n, 500) for n in TEN], [measured(10 + n, 400) for n in TEN])
    assert document["compared"]["timed_by"] == "measured"
    assert document["comparison"]["change_pct"]["middle"] == pytest.approx(-20)
    with pytest.raises(NotComparable, match="how long they took"):
        compared([measured(n, 500) for n in TEN], [kept(20, None)])


def test_the_document_has_each_run_with_its_evidence() -> None:
    document = compared(*blocks(times(100), times(80), labels={"commit": "abc"}))
    assert [run["id"] for run in document["runs"]] == [f"run-{n}" for n in range(20)]
    assert document["runs"][0]["evidence"]["available"]
    assert document["compared"]["labels"]["baseline"]["commit"] == ["abc"]
    assert document["series"]["commands"] == {"baseline": ["prog"], "optimized": ["prog"]}


def test_different_datasets_are_noted() -> None:
    before, after = blocks(times(100), times(80))
    assert len(compared(before, after)["compared"]["notes"]) == 2, "of the order and the layout"
    larger = group(*times(80), first=10, labels={"dataset": "large"})
    notes = compared(before, larger)["compared"]["notes"]
    assert "the sides have different datasets (the label)" in notes
