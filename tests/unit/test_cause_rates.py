"""How comparisons of known causes are counted, kept and printed: nothing is run."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

import pytest

from agent.client.spawn import RunningAgent
from agent.comparison.causes import CAUSES
from agent.overhead.protocols import Missing, WorkloadFailed
from benchmarks import causes
from benchmarks.cause_pairs import PAIRS, Commands, Pair
from benchmarks.causes import Comparison, Rates, Row, measure_causes
from benchmarks.causes_page import render, write_page
from benchmarks.pages import CAUSES as FILE
from benchmarks.pages import CAUSES_PAGE, causes_page

RIGHT = Comparison("sleeping", None, 40.0, 1.0, "optimized takes …")
WRONG = Comparison("more syncs", None, 40.0, 1.0, "optimized takes …")
NONE = Comparison(None, "no cause fits", 40.0, 1.0, "optimized takes …")
SMALL = Comparison(None, "too small", 1.0, None, "no difference found")


def row(*comparisons: Comparison, pair: str = "sleeping", cause: str | None = "sleeping") -> Row:
    return Row(pair, "sleeps", cause, comparisons, "abc1234")


def test_each_cause_has_a_pair_but_the_hypervisor_which_nothing_here_can_bring_about() -> None:
    named = {pair.cause for pair in PAIRS}
    assert named == {cause.name for cause in CAUSES} - {"the hypervisor"} | {None}
    assert len({pair.name for pair in PAIRS}) == len(PAIRS)


def test_right_wrong_none_and_too_small() -> None:
    found = row(RIGHT, RIGHT, WRONG, NONE, SMALL)
    assert (found.right, found.judged, found.too_small) == (2, 4, 1)
    assert found.wrong == {"more syncs": 1}
    assert found.none == {"no cause fits": 1}
    assert found.difference_ms == 40.0


def test_of_equal_commands_none_is_right() -> None:
    found = row(SMALL, NONE, WRONG, cause=None)
    assert (found.right, found.judged, found.too_small) == (2, 3, 0)
    assert not found.none
    assert found.wrong == {"more syncs": 1}


@pytest.mark.parametrize(
    ("comparisons", "is_met"),
    [
        ([RIGHT] * 19 + [NONE], True),
        ([RIGHT] * 18 + [NONE] * 2, False),
        ([RIGHT] * 19 + [NONE, SMALL], True),
        ([RIGHT] * 5 + [WRONG], False),
        ([SMALL] * 20, False),
    ],
)
def test_nineteen_of_twenty(comparisons: list[Comparison], is_met: bool) -> None:
    assert row(*comparisons).is_met == is_met


def test_the_table() -> None:
    rates = Rates((row(*[RIGHT] * 20, SMALL), row(WRONG, NONE, pair="syncs")))
    text = render(rates.without("device", Missing("nothing can")))
    assert "23 comparisons, 1 with a wrong cause; fewer than 19 of 20 right: syncs." in text
    assert "20 of 20" in text
    assert "* syncs: more syncs 1; no cause fits 1" in text
    assert "device not compared: nothing can" in text
    page = write_page(rates, "a machine")
    assert "| sleeping: sleeps | sleeping | 40.0 (1.0) | 20 of 20 | 0 | 0 | 1 | pass |" in page
    assert write_page(Rates.from_json(rates.to_json()), "a machine") == page


def test_a_row_takes_the_place_of_its_last_one_and_of_why_there_was_none() -> None:
    rates = Rates().without("sleeping", Missing("no")).with_row(row(NONE)).with_row(row(RIGHT))
    assert rates == Rates((row(RIGHT),))
    assert rates.without("sleeping", Missing("no")) == Rates((), {"sleeping": Missing("no")})


def test_each_pair_is_kept_as_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def fails() -> Iterator[Commands]:
        raise WorkloadFailed("no loop device")
        yield Commands((), ())

    def runs() -> AbstractContextManager[Commands]:
        return nullcontext(Commands(["a"], ["b"]))

    pairs = [
        Pair("sleeping", "", "sleeping", runs),
        Pair("device", "", "slower device", fails),
        Pair("locks", "", "lock contention", runs, lambda: Missing("nothing can")),
        Pair("same-sleeping", "", None, runs),
    ]
    monkeypatch.setattr(causes, "compared", lambda *_: RIGHT)
    kept: list[Row | tuple[str, Missing]] = []
    left: list[tuple[int, int]] = []
    said: list[str] = []
    measure_causes(
        cast("RunningAgent", None),
        pairs,
        2,
        "abc1234",
        lambda progress: left.append((progress.done, progress.total)),
        said.append,
        kept.append,
    )
    assert [one.right if isinstance(one, Row) else one for one in kept] == [
        2,
        ("device", Missing("no loop device")),
        ("locks", Missing("nothing can")),
        0,
    ]
    assert left == [(1, 8), (2, 8), (7, 8), (8, 8)]
    assert said == ["same-sleeping: not none: optimized takes …"] * 2


def test_the_page_in_the_docs_is_made_of_the_figures_kept_with_the_suite() -> None:
    page = CAUSES_PAGE.read_text() if CAUSES_PAGE.exists() else None
    assert page == (causes_page() if FILE.exists() else None)
