"""A comparison of kept runs as text: what differs, and of what does not only how much there is."""

import re
from typing import Any

import pytest
from fakes.comparisons import compared, groups, quantile, state
from fakes.series_documents import JSON, figure, interval
from hypothesis import given, settings

from agent.show.brief import brief
from agent.show.markdown import markdown
from agent.show.series import series
from agent.show.text import render
from agent.terminal.style import Style
from agent.terminal.width import cells


def shown(document: dict[str, Any], width: int = 80, **options: Any) -> str:
    return series(document, width, Style(), **options)


def flat(text: str) -> str:
    return " ".join(text.split())


def test_what_differs_comes_first_and_noise_is_counted() -> None:
    text = shown(compared())
    lines = text.splitlines()
    assert lines[0].startswith("optimized takes 5.9 % less time (95 % interval")
    less_certain = "less certain, by its own interval: +3.000 ms computing"
    assert f"parts -25.00 ms blocked in fsync; {less_certain}" in flat(text)
    assert "result    conclusive" in text
    assert "blocked: read" not in text
    assert "  1 further figure not tested" in text
    assert "blocked: read" in shown(compared(), whole=True)


def test_figures_are_ranked_by_what_they_mean_for_the_wall_time() -> None:
    text = shown(compared())
    names = [line.strip().split("  ")[0] for line in text.splitlines() if "p=0.008" in line]
    assert names.index("wall: blocked") < names.index("blocked: fsync") < names.index("user CPU")


def test_both_budgets_are_bars_of_one_scale() -> None:
    text = shown(compared(), width=100)
    [computing] = [line for line in text.splitlines() if line.strip().startswith("computing ")]
    [blocked] = [line for line in text.splitlines() if line.strip().startswith("blocked  ")]
    before, after = (part.count("█") for part in blocked.split("35.00 ms"))
    assert before > after > 0
    assert blocked.rstrip().endswith("-25.00 ms")
    assert "█" in computing
    assert computing.rstrip().endswith("~ 1.500 ms")


def test_a_state_that_no_run_was_in_is_none() -> None:
    gone = state("blocked", 60.0, 0.0, "smaller") | {"occurs_in": [10, 0]}
    lines = shown(compared(figures=[gone])).splitlines()
    [line] = [line for line in lines if line.strip().startswith("blocked  60.00 ms")]
    assert line.split()[-3:] == ["none", "-60.00", "ms"]


def test_bars_are_left_out_where_there_is_no_room() -> None:
    text = shown(compared(), width=60)
    assert max(map(cells, text.splitlines())) <= 60
    assert "60.00 ms" in text


def test_quantiles_that_moved_are_shown() -> None:
    text = shown(compared())
    assert "p99.9  100.0 µs   140.0 µs   +40.00 µs  +30.00 µs – +50.00 µs" in text
    assert "1 quantile without a difference" in text
    assert "p50 " not in text
    assert "p50 " in shown(compared(), whole=True)


def test_quantiles_of_too_few_runs_are_not_called_alike() -> None:
    unknown = quantile(0.5, 0.1, 1) | {"difference_us": {"low": None, "middle": 1, "high": None}}
    text = shown(compared(shift={"runqlat": [unknown, quantile(0.9, 0.1, 1)]}))
    assert "1 quantile with too few runs: it takes 6 of each" in text
    assert "1 quantile without a difference" in text
    assert "further" not in shown(compared(shift={}, figures=[], not_tested=["a"]))


def test_each_sign_in_the_budget_is_explained() -> None:
    few = state("blocked", 60.0, 35.0, "too few") | {"pairs_needed": 9}
    text = shown(compared(figures=[few]))
    assert "? -25.00 ms" in text
    assert "?: too few pairs to tell for so many figures: it takes at least 9" in text


def test_what_appeared_has_no_ratio() -> None:
    assert "appeared" in shown(compared())
    assert "blocked: futex 4.000 ms (in 9 of 10)" in shown(compared())
    assert "appeared" not in shown(compared(appeared=[]))


def test_what_appeared_in_few_runs_is_named() -> None:
    rare = {"name": "execs", "unit": "count", "occurs_in": [0, 1], "runs": [10, 10], "median": 0}
    text = shown(compared(appeared=[rare, rare]))
    assert "execs (only in 1 of 10), execs (only in 1 of 10)" in flat(text)
    many = flat(shown(compared(appeared=[rare] * 5)))
    assert many.count("only in 1 of 10") == 3
    assert "2 more, each in no more than half of the runs" in many
    assert "execs 0 (in 1 of 10)" in shown(compared(appeared=[rare]), whole=True)


def test_how_the_runs_were_chosen() -> None:
    text = shown(compared())
    assert "chosen by commit=abc" in text
    assert "labels    commit def or fed" in text
    assert "left out  2 runs: it failed" in text
    assert "--seed" not in text


def test_what_both_sides_have_in_common_is_said_once() -> None:
    document = compared()
    for side, labels in document["compared"]["labels"].items():
        labels |= {"variant": ["numpy"], "machine": ["box"], "scenario": [side]}
    kernel = {"baseline": ["6.1"], "optimized": ["6.1"]}
    document["compared"]["facts"] = {"kernel": kernel}
    text = flat(shown(document))
    assert "both variant numpy, machine box, kernel 6.1" in text
    assert text.count("numpy") == 1
    assert "scenario" not in text
    kernel["optimized"] = ["6.18"]
    assert "kernel" not in shown(document)


def test_an_argument_for_both_sides_is_not_repeated() -> None:
    document = compared()
    document["compared"]["selected"] = {"baseline": "last", "optimized": "last"}
    assert "chosen by" not in shown(document)
    document["series"]["commands"] = {"baseline": []}
    assert "baseline  last" in shown(document)


def test_a_side_without_a_command_is_named_by_its_selector() -> None:
    document = compared()
    document["series"]["commands"] = {"baseline": [], "optimized": []}
    assert "baseline  commit=abc" in shown(document)
    document["compared"]["selected"] = None
    assert "baseline  its command is not known" in shown(document)


def test_groups_are_not_called_pairs() -> None:
    text = flat(shown(groups(order="sequential")))
    assert "n=10+12)" in text
    assert "order one side after the other; no pairs, since they are not of one series" in text
    assert "Hodges–Lehmann–Sen" in text
    assert "the change above is by the ratios of each run to each of the other side" in text
    assert "pairs" not in text.replace("no pairs", "")


@pytest.mark.parametrize("detectable", [0.0, 1e-9, None])
def test_of_runs_that_are_alike_no_size_is_told(detectable: float | None) -> None:
    alike = figure("blocked: fsync", outcome="undecided", detectable=0.0)
    document = compared(outcome="undecided", detectable_pct=detectable, figures=[alike])
    text = shown(document, whole=True)
    assert "~ no difference found (" in text
    assert "would probably have been" not in flat(text).partition("~: no difference")[0]
    assert "~ 0 ms" not in text
    document["comparison"]["detectable_pct"] = 1.5
    assert "one of 1.5 % would probably have been" in flat(shown(document))


def test_the_condition_of_a_result_is_in_its_first_sentence() -> None:
    text = flat(shown(groups(conclusive_if="nothing else changed")))
    assert "n=10+12), if nothing else changed" in text
    assert "result conclusive, if nothing else changed" in text
    assert ", if" not in shown(groups(conclusive_if=None))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"outcome": "too few", "runs": {"baseline": 3, "optimized": 8}},
            "no decision: 3 and 8 runs, and a 95 % interval takes 6 of each",
        ),
        (
            {"outcome": "drift", "change_pct": interval(5, 1)},
            "no decision: a drift over time may be all of the difference: 5 % more time (95 %",
        ),
    ],
)
def test_what_groups_do_not_decide(changes: dict[str, Any], said: str) -> None:
    document = groups(conclusive=False, inconclusive_because=["drift"], **changes)
    assert shown(document).startswith(said[:60])
    assert said in flat(shown(document))
    assert "result inconclusive: drift" in flat(shown(document))
    assert "parts" not in shown(document)


def test_too_few_runs_of_groups_are_told() -> None:
    few = figure("blocked", pairs=None, runs=[6, 7], outcome="too few", runs_needed=8)
    del few["pairs"]
    text = shown(groups(figures=[few]), whole=True)
    assert "?: too few runs to tell for so many figures: it takes at least 8" in text
    assert "n=6+7" in text


def test_a_drift_is_told() -> None:
    drift = {"is_certain": True, "pct_per_run": interval(0.4, 0.1)}
    said = "drift: within each side, times rise by 0.4 % with every run that was made"
    assert said in flat(shown(compared(drift=drift)))
    assert said not in flat(shown(compared(drift=drift | {"is_certain": False})))


def test_what_was_forced_is_marked_first() -> None:
    document = compared()
    document["compared"]["refused"] = [{"why": "the runs were measured on different kernels"}]
    assert shown(document).startswith(
        "forced, although the runs were measured on different kernels\n"
    )


def test_equals_have_a_floor() -> None:
    document = groups(outcome="undecided")
    document["compared"]["aa"] = {
        "seed": 7,
        "splits": 200,
        "conclusive": 8,
        "floor_pct": 0.8,
        "detectable_pct": 1.2,
    }
    text = flat(shown(document))
    assert text.startswith("A/A: one group of runs, split at random (--seed 7)")
    assert "19 of 20 random splits of these runs differ by less than 0.8 %" in text
    assert "8 of 200 would have been conclusive" in text
    assert "; a real difference of 1.2 % would probably have been found" in text
    assert not re.search(r"one of [0-9.]+ %", text), "the same of this split alone"
    document["comparison"]["outcome"] = "larger"
    assert "a false alarm: the second half takes" in shown(document)
    assert "conclusive" not in shown(document).replace("would have been conclusive", "")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    for document in (compared(), groups()):
        for whole in (False, True):
            text = shown(document, width=width, whole=whole)
            assert max(map(cells, text.splitlines())) <= width


def test_show_prints_a_saved_comparison() -> None:
    text = render(compared())
    assert "Wall time: where it went, medians over runs" in text
    assert "blocked: read" in text


KEYS = (
    *("method", "order", "drift", "parts", "changed", "appeared", "vanished", "shift", "runs"),
    *(
        "conclusive",
        "conclusive_if",
        "inconclusive_because",
        "figures",
        "cause",
        "change_pct",
        "outcome",
    ),
)


@settings(max_examples=20)
@given(JSON)
def test_any_file_can_be_shown(value: Any) -> None:
    for key in KEYS:
        shown(compared(**{key: value}), whole=True)
    shown(compared() | {"compared": value})
    shown(compared() | {"compared": {"selected": value, "aa": value, "left_out": value}})


def test_hostile_text_is_made_printable() -> None:
    document = compared(inconclusive_because=["\x1b[2J"], conclusive=False)
    document["compared"] |= {
        "selected": {"baseline": "\x1b]0;x\x07"},
        "labels": {"baseline": {"\x1b": ["\x07"]}},
        "notes": ["\x1b"],
        "refused": [{"why": "\x1b"}],
    }
    assert not {"\x1b", "\x07"} & set(shown(document))


def test_states_are_told_apart_from_sums_over_tasks() -> None:
    of_wall = state("waiting_for_cpu", 1.0, 4.0, "larger")
    figures = [of_wall, figure("waiting for a CPU", outcome="larger")]
    text = shown(compared(figures=figures))
    assert "wall: waiting for a CPU" in text
    assert "waiting_for_cpu" not in text
    assert "wall: of the run as a whole, not summed over its tasks" in text
    assert "wall: of the run" not in shown(compared(figures=figures[1:]))
    assert "wall: waiting for a CPU" in markdown(compared(figures=figures))


def test_a_series_has_the_parts_as_a_comparison_has() -> None:
    document = compared()
    del document["compared"]
    assert "parts -25.00 ms blocked in fsync; less certain, by its own" in flat(brief(document))


def test_parts_of_a_file_that_does_not_say_which_are_certain_are_not_called_less_certain() -> None:
    document = compared()
    for row in document["comparison"]["parts"]:
        del row["is_certain"]
    said = "each by its own interval: -25.00 ms blocked in fsync, +3.000 ms computing"
    assert f"parts {said}" in flat(shown(document))
    assert f"* made up of: {said}\n" in markdown(document)
