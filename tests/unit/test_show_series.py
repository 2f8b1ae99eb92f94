"""A series of runs as text, from whatever the file holds."""

from pathlib import Path
from typing import Any

import pytest
from fakes.sample_evidence import evidence
from fakes.series_documents import JSON, alone, figure, interval, pairs, series, side
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.show.brief import brief
from agent.show.command import show
from agent.show.text import render
from agent.terminal.width import cells


def test_one_command() -> None:
    assert brief(alone()).splitlines()[:7] == [
        "command   ./benchmark '10 MB'",
        "runs      10, after 2 to warm up",
        "time      median 101.2 ms, 95 % interval 100.2 ms – 102.2 ms",
        "          mean 101.5 ms ± 456.0 µs (std. dev.), range 100.0 ms – 152.0 ms",
        "          user 1.500 ms, system 500.0 µs (means)",
        "outliers  run 7: 152.0 ms, 50.80 ms more (waiting for a CPU +48.20 ms)",
        "drift     each run takes 500.0 µs more than the one before; the first took",
    ]
    assert "evidence  9 complete, 1 degraded" in brief(alone())
    assert "blocked: futex  30.00 ms  29.00 ms – 31.00 ms" in brief(alone())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            "optimized takes 5.9 % less time (95 % interval 5.4 – 6.4 %, p=0.002 n=10)",
        ),
        (
            {"outcome": "larger", "change_pct": interval(12, 1)},
            "optimized takes 12 % more time (95 % interval 11 – 13 %, p=0.002 n=10)",
        ),
        (
            {"outcome": "undecided", "p": 0.446},
            "~ no difference found (p=0.446 n=10); one of 0.8 % would probably have been",
        ),
        (
            {"outcome": "too small", "change_pct": interval(-0.4, 0.1), "p": 0.0001},
            "no difference that matters (--min-effect 1 %): 0.4 % less time (95 % interval",
        ),
        ({"outcome": "too few", "pairs": 5}, "no decision: 5 pairs, and a 95 % interval takes 6"),
    ],
)
def test_the_first_sentence_is_the_result(changes: dict[str, Any], said: str) -> None:
    assert brief(pairs(**changes)).splitlines()[0] == said


def test_two_commands() -> None:
    text = brief(pairs())
    assert "\nbaseline  ./old\n" in text
    assert "\noptimized ./new\n" in text
    assert "\ngain      5.8 % of the median, 95 % interval 4.8 – 6.8 %\n" in text
    assert "baseline first in 4 of 10 pairs (--seed 7)" in " ".join(text.split())
    differences = [line for line in text.splitlines() if "blocked: " in line]
    assert [line.split()[1] for line in differences] == ["fsync", "futex", "read"]
    assert differences[0].endswith("-25.00 ms  p=0.008 n=10")
    assert differences[1].endswith("none   5.000 ms   +4.000 ms  p=0.008 n=10")
    assert differences[2].endswith("~ 1.500 ms  p=0.446 n=10")
    assert "~: no difference found; one of the size next to it would probably have been" in text
    assert "1 further figure not tested" in text


def test_too_few_pairs_for_so_many_figures_find_no_sameness() -> None:
    many = figure("blocked", outcome="too few", pairs=6, detectable=None, pairs_needed=9)
    lines = brief(pairs(pairs=6, figures=[many])).splitlines()
    assert any(line.endswith("? -25.00 ms  n=6") for line in lines)
    assert "  ?: too few pairs to tell for so many figures: it takes at least 9" in lines
    assert "no difference found" not in "\n".join(lines)


def test_figures_that_are_not_shown_are_not_called_alike_if_pairs_were_too_few() -> None:
    alike = [figure(f"blocked: a{n}", outcome="undecided") for n in range(9)]
    few = [figure(f"blocked: b{n}", outcome="too few", pairs=2, pairs_needed=9) for n in range(2)]
    text = brief(pairs(figures=[*alike, *few]))
    said = "  2 further figures known in too few pairs (2): it takes at least 9\n"
    assert said in text
    assert "  1 further figure without a difference\n" in text


def test_a_difference_that_does_not_matter_is_not_denied() -> None:
    small = figure("blocked: read", outcome="too small", difference=interval(0.2, 0.1))
    text = brief(pairs(figures=[small]))
    assert "(+200.0 µs)  p=0.008 n=10" in text
    assert "( ): a difference that does not matter (--min-effect)" in text
    assert "no difference found" not in text


def test_none_and_0_are_told_apart() -> None:
    said = "none: in no run; 0: in some, but in no more than half of them"
    rare = figure("blocked: futex", baseline=0.0, occurs_in=[2, 10])
    assert "0 ms" in brief(pairs(figures=[rare]))
    assert said in brief(pairs(figures=[rare]))
    assert said not in brief(pairs(figures=[rare | {"occurs_in": [0, 10]}]))


def test_it_is_said_why_differences_are_not_those_of_the_medians() -> None:
    by_ratios = "that is between two medians; the change above is by the ratios within pairs"
    text = " ".join(brief(pairs()).split())
    assert "difference: estimated within pairs (Hodges–Lehmann), not between medians" in text
    assert by_ratios in text
    assert by_ratios not in " ".join(brief(pairs(outcome="undecided")).split())


def test_a_difference_that_the_file_lacks_is_not_0() -> None:
    assert "–  p=0.008" in brief(pairs(figures=[figure("blocked", difference=None)]))


def test_outliers_are_listed_with_what_explains_them() -> None:
    def told(*rows: Any) -> str:
        wall = side()["wall_ms"] | {"outliers": list(rows)}
        text: str = brief(alone(sides={"command": side(wall_ms=wall)}))
        return text

    slow = {"round": 3, "ms": 200.0, "excess_ms": 98.8}
    assert "outliers  run 3: 200.0 ms, 98.80 ms more (nothing in its evidence stands" in told(
        slow | {"beyond": []}
    )
    assert "98.80 ms more\n" in told(slow | {"beyond": None})
    assert "run 4: 2.000 ms, 99.20 ms less\n" in told({"round": 4, "ms": 2.0, "excess_ms": -99.2})
    assert "\n          3 more\n" in told(*[slow | {"beyond": []}] * 8)


def test_a_first_run_unlike_the_others_has_a_line() -> None:
    document = alone()
    drift = document["sides"]["command"]["wall_ms"]["drift"]
    drift |= {"is_certain": False, "first_ms": 130.0}
    assert "first run" not in brief(document)
    drift["first_differs"] = True
    said = "first run took 130.0 ms, and the median of the others is 101.5 ms (run --warmup 3 "
    assert said in " ".join(brief(document).split())
    document["series"]["warmup"] = 0
    assert "(run --warmup 1 leaves it out)" in " ".join(brief(document).split())


def test_a_slow_run_has_its_sentence() -> None:
    def told(**changes: Any) -> str:
        row = {"round": 7, "ms": 184.0, "excess_ms": 84.0, "beyond": [], **changes}
        wall = side()["wall_ms"] | {"outliers": [row]}
        return " ".join(brief(alone(sides={"command": side(wall_ms=wall)})).split())

    part = {"name": "for a busy CPU", "more_ms": 80.0, "command": "apt"}
    begins = "run 7 took 84.00 ms longer (184.0 ms): "
    assert f"{begins}80.00 ms waiting for a CPU, which apt had" in told(parts=[part])
    assert "for a CPU, which others had" in told(parts=[part | {"command": None}])
    assert "blocked in fsync (dd)" in told(
        parts=[{**part, "name": "blocked: fsync", "command": "dd"}]
    )
    assert f"{begins}the hypervisor stole 40.00 ms" in told(parts=[], stolen_ms=40.0)
    assert "up to 30.00 ms of the waiting throttled by the CPU quota" in told(throttled_ms=30.0)
    outside = "8.000 ms in no part of the wall time: during its exec, or after its end"
    assert f"{begins}{outside}" in told(parts=[], undivided_ms=8.0)
    for value in (None, 1, "x", [None], [{}], [{"name": "\x1b", "more_ms": None}]):
        assert "nothing in its evidence stands out" in told(parts=value)


def test_why_runs_are_not_complete_is_said_for_some_of_them() -> None:
    def run(n: int, *reasons: str, **changes: Any) -> dict[str, Any]:
        whole = {"completeness": {"verdict": "degraded", "reasons": list(reasons)}}
        return {"side": "command", "counts": True, "round": n, "evidence": whole, **changes}

    runs = [run(1), run(4, "lost: exec: 7", "unseen: x"), run(5, "no", counts=False), run(6, "y")]
    evidence = "evidence  9 complete, 1 degraded\n          run 4: lost: exec: 7 (and 1 more)\n"
    assert f"{evidence}          run 6: y\n" in brief(alone(runs=runs))
    said = brief(alone(runs=[run(n, f"lost: {n}") for n in range(8)]))
    assert "          run 4: lost: 4\n          3 more that are not complete\n" in said


def test_a_reason_that_several_runs_have_is_said_once() -> None:
    def run(n: int, why: str, **evidence: Any) -> dict[str, Any]:
        whole = {"completeness": {"reasons": [why]}} if why else {}
        return {"side": "command", "counts": True, "round": n, "evidence": {**whole, **evidence}}

    def told(*runs: dict[str, Any]) -> str:
        return " ".join(brief(alone(runs=list(runs))).split())

    assert " all runs: no right " in told(*(run(n, "no right") for n in range(1, 11)))
    both = told(*(run(n, "lost") for n in (1, 3, 4)), *(run(n, "no right") for n in range(5, 11)))
    assert " runs 1, 3 and 4: lost 6 of 9 runs: no right " in both
    assert " 1 more that are not complete" not in both
    no_agent = {"available": False, "reason": "no agent"}
    assert " runs 1 and 2: no agent " in told(*(run(n, "", **no_agent) for n in (1, 2)))


def test_too_few_runs_for_an_interval_are_listed() -> None:
    runs = [
        {"side": "command", "counts": counts, "command": {"wall_ms": wall}}
        for counts, wall in [(True, 101.23), (True, 99.0), (False, 5.0)]
    ]
    assert "values    101.2 ms, 99.00 ms\n" in brief(alone(runs=runs))
    assert "values" not in brief(alone(runs=runs[:1] * 6))


def test_what_ended_it_is_said() -> None:
    early = series(ended_by="failure", ended_early="the command exited with status 7 in run 3")
    assert "ended     the command exited with status 7 in run 3" in brief(alone(series=early))
    assert "runs      none is complete" in brief(alone(series=early, sides={}))


def test_synthetic_evidence_is_marked() -> None:
    text = brief(alone(runs=[{"evidence": evidence(mock=True)}]))
    assert text.startswith("mock: synthetic events")


def test_timing_by_accounting_says_which_waits_it_does_not_time() -> None:
    assert "idle CPU" not in brief(alone(runs=[{"evidence": evidence()}]))
    whole = evidence()
    whole["manifest"]["timing"] = "accounting"
    text = " ".join(brief(alone(runs=[{"evidence": whole}])).split())
    assert "one for an idle CPU mostly reads 0" in text


def test_show_draws_the_histograms_of_all_runs() -> None:
    text = render(alone())
    assert "Waits for a CPU: all runs" in text
    assert "2 µs – 4 µs  30  █" in text
    assert "Waits for a CPU" not in brief(alone())


def test_show_reads_a_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    file = tmp_path / "series.json"
    file.write_text(json.dumps(alone()))
    assert show(str(file)) == 0
    assert capsys.readouterr().out.startswith("command   ./benchmark '10 MB'\n")
    assert show(str(file), everything=True) == 0
    assert "Everything in the file" in capsys.readouterr().out


@pytest.mark.parametrize("width", [20, 40, 80, 120])
@pytest.mark.parametrize("report", [brief, render])
def test_no_line_is_wider_than_the_screen(report: Any, width: int) -> None:
    for document in (alone(), pairs()):
        assert max(map(cells, report(document, width=width).splitlines())) <= width


@st.composite
def spoiled(draw: st.DrawFn) -> dict[str, Any]:
    def spoil(value: Any) -> Any:
        if draw(st.integers(0, 9)) == 0:
            return draw(JSON)
        if isinstance(value, dict):
            return {name: spoil(inner) for name, inner in value.items()}
        return [spoil(inner) for inner in value] if isinstance(value, list) else value

    document = draw(st.sampled_from([alone, pairs]))()
    return {name: spoil(value) for name, value in document.items()}


@settings(max_examples=60)
@given(spoiled())
@example(alone(sides={"command": side(wall_ms={"median": {"middle": 1.7975000000000001e308}})}))
def test_whatever_the_file_holds_it_is_text(document: dict[str, Any]) -> None:
    for report in (brief, render):
        text = report(document)
        assert all(c.isprintable() or c == "\n" for c in text)


def test_what_the_figures_are_is_said() -> None:
    assert "sums over tasks  baseline" in brief(pairs())
    with_budget = pairs(figures=[figure("wall: computing"), figure("blocked: read")])
    assert "wall, sums over tasks  baseline" in brief(with_budget)


def test_80_columns_hold_how_certain_a_difference_is() -> None:
    widest = figure("blocked: clock_nanosleep", baseline=100.1, optimized=200.2, unit="ms")
    text = brief(pairs(figures=[widest, {**widest, "outcome": "undecided", "detectable": 100.1}]))
    assert text.count("p=0.008 n=10") == 2
    assert "clock_nanosleep  100.1 ms" in text


def test_figures_that_are_not_shown_are_in_no_file_that_nobody_asked_for() -> None:
    one = side()["figures"][0]
    many = side(figures=[{**one, "name": f"blocked: a{n}"} for n in range(20)])
    text = brief(alone(sides={"command": many}))
    assert "12 further figures not shown" in text
    assert "--json" not in text
