"""Two checkouts measured in turns: the arithmetic and what is run. Nothing real is measured."""

import shutil
import sys
from pathlib import Path

import pytest
from fakes.overhead import FakeAgent

from agent.client.spawn import AgentDidNotStart, running_agent
from agent.overhead.protocols import CannotMeasure, Missing
from agent.overhead.results import Measured, Pair, WorkloadResult
from benchmarks import CHECKOUT, against, micro
from benchmarks.__main__ import main
from benchmarks.against import Checkout, IdleAgent, NotACheckout, checkout, fold_of, pairs
from benchmarks.comparison import (
    OTHER,
    Comparison,
    compare_figures,
    compare_slowdowns,
    comparison_table,
    round_ratios,
)
from benchmarks.configurations import AGENT_RUNS
from benchmarks.suite import AGAINST, Selection, known_names

ROUNDS = 11
LISTENS = "import time; print('listening on http://127.0.0.1:1', flush=True); time.sleep(60)"


def measured(name: str, factor: float, noise: float = 0.0) -> Measured:
    """Return one pair per round; ``noise`` spreads the slowdowns evenly around ``factor``."""
    middle = ROUNDS // 2
    spread = (noise * (number - middle) / middle for number in range(ROUNDS))
    pairs = (Pair(number, 1.0, factor + one, 1.0) for number, one in enumerate(spread))
    return Measured(name, f"the {name}", tuple(pairs))


def workload(*found: Measured) -> WorkloadResult:
    return WorkloadResult("pipe", "turn", None, found, {})


def nothings(noise: float = 0.01) -> tuple[Measured, Measured]:
    return measured("nothing", 1.0), measured("nothing" + OTHER, 1.0, noise)


# --- the arithmetic


def test_a_ratio_is_of_one_round() -> None:
    assert round_ratios({0: 1.2, 1: 3.0, 2: 9.0}, {1: 2.0, 0: 1.2, 7: 1.0}) == [1.0, 1.5]


def test_there_is_no_ratio_to_zero() -> None:
    assert round_ratios({0: 1.0, 1: 1.0}, {0: 0.0, 1: 1.0}) == []


def test_what_disturbs_a_round_disturbs_no_ratio() -> None:
    """The old slowdowns range from 1.05 to 1.35, and the new one is always 10 % higher."""
    old = measured("all" + OTHER, 1.2, 0.15)
    new = Measured("all", "all", tuple(Pair(p.round, 1.0, p.armed * 1.1, 1.0) for p in old.pairs))
    [found] = compare_slowdowns(workload(*nothings(), new, old))
    assert found.ratio is not None
    assert (found.ratio.low, found.ratio.high) == pytest.approx((1.1, 1.1))
    assert found.verdict.startswith("+10.0%, beyond the noise floor of ")
    assert (found.old, found.new) == pytest.approx((1.2, 1.32))
    assert (found.what, found.rounds) == ("pipe: all", ROUNDS)


def test_below_the_noise_floor_there_is_no_difference() -> None:
    pair = measured("all", 1.10), measured("all" + OTHER, 1.08)
    [quiet] = compare_slowdowns(workload(*nothings(0.001), *pair))
    [noisy] = compare_slowdowns(workload(*nothings(0.2), *pair))
    assert quiet.verdict.startswith("+1.9%, beyond")
    assert noisy.verdict.startswith("no difference, noise floor ")


def test_a_faster_agent_is_reported_too() -> None:
    pair = measured("all", 1.0), measured("all" + OTHER, 1.25)
    [found] = compare_slowdowns(workload(*nothings(0.001), *pair))
    assert found.verdict.startswith("-20.0%, beyond")


def test_without_its_other_half_nothing_is_compared() -> None:
    assert compare_slowdowns(workload(*nothings(), measured("all", 1.1))) == []


def test_without_a_noise_floor_nothing_is_judged() -> None:
    pair = measured("all", 1.2), measured("all" + OTHER, 1.1)
    [found] = compare_slowdowns(workload(measured("nothing", 1.0), *pair))
    assert found.verdict == "noise floor not measured"


def test_a_figure_differs_when_it_does_so_in_every_round() -> None:
    new = [{"ns": 11.0 + number % 2 / 100} for number in range(6)]
    old = [{"ns": 10.0 + number % 3 / 100} for number in range(6)]
    [found] = compare_figures(new, old)
    assert found.verdict.startswith("+9.9%, beyond the noise floor of 0.")


def test_a_figure_that_wanders_from_round_to_round_is_no_difference() -> None:
    new = [{"ms": value} for value in (11.0, 14.0, 11.0, 15.0, 11.0, 14.0)]
    old = [{"ms": value} for value in (10.0, 13.0, 10.5, 13.5, 10.2, 13.2)]
    [found] = compare_figures(new, old)
    assert found.ratio is not None
    assert found.ratio.low > 1
    assert found.verdict.startswith("no difference")


def test_figures_that_are_zero_are_the_same_or_have_no_ratio() -> None:
    new = [{"lost": 0.0, "attached": 3.0}] * 2
    old = [{"lost": 0.0, "attached": 0.0}] * 2
    assert [found.verdict for found in compare_figures(new, old)] == ["same", "no ratio"]


@pytest.mark.parametrize(("rounds", "judged"), [(1, False), (5, False), (6, True)])
def test_a_few_rounds_are_not_judged(rounds: int, judged: bool) -> None:
    [found] = compare_figures([{"ns": 2.0}] * rounds, [{"ns": 1.0}] * rounds)
    assert (found.verdict != "too few rounds to judge") == judged


def test_a_figure_that_one_of_them_lacks_is_not_compared() -> None:
    [found] = compare_figures([{"ns": 2.0, "mine": 1.0}], [{"ns": 1.0, "theirs": 1.0}])
    assert found.what == "ns"


def test_the_table_says_what_was_found() -> None:
    [found] = compare_figures([{"ns": 3.0}], [{"ns": 2.0}])
    headers, row = comparison_table([found])
    assert len(headers) == len(row)
    assert row[:6] == ("ns", "2", "3", "1.500", "none", "1")
    _, without = comparison_table([Comparison("n", 0.0, 0.0, None, 2, None)])
    assert without[3:] == ("", "", "2", "same")


# --- what is run


@pytest.fixture
def other(tmp_path: Path) -> Checkout:
    """A checkout with another layout, which has nothing but ``python -m agent``."""
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "__init__.py").touch()
    (tmp_path / "agent" / "__main__.py").write_text(LISTENS)
    return checkout(tmp_path)


def test_the_other_agent_is_that_of_the_other_checkout(other: Checkout) -> None:
    with running_agent(invocation=other.agent) as agent:
        assert agent.url == "http://127.0.0.1:1"
        arguments = Path(f"/proc/{agent.pid}/cmdline").read_text().split("\0")
    assert arguments[0] == sys.executable
    assert str(other.path) in arguments


def test_a_checkout_is_named_by_its_commit(other: Checkout) -> None:
    assert other.commit == "unknown commit"
    if shutil.which("git") and (CHECKOUT / ".git").exists():
        assert checkout().commit.removesuffix("-dirty").isalnum()


@pytest.mark.parametrize("command", ["overhead", "micro"])
def test_a_path_without_an_agent(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--against", str(tmp_path)]) == 2
    assert f"{tmp_path} is not a checkout of the agent" in capsys.readouterr().err
    with pytest.raises(NotACheckout):
        checkout(tmp_path / "nowhere")


def test_each_configuration_is_there_for_both(other: Checkout) -> None:
    offered = pairs(FakeAgent({}), Missing("it ended"), checkout(), other)
    names = [configuration.name for configuration in offered]
    for name in ("nothing", "idle", *(name for name, *_ in AGENT_RUNS)):
        assert {name, name + OTHER} <= set(names)
    absent = {c.name for c in offered if c.check() == Missing("it ended")}
    assert absent == {name + OTHER for name, *_ in AGENT_RUNS}


@pytest.mark.usefixtures("every_tool")
def test_names_choose_pairs(other: Checkout) -> None:
    offered = pairs(FakeAgent({}), FakeAgent({}), checkout(), other)
    by_default = Selection(False, 3, frozenset(), other).configurations("pipe", offered)
    assert {c.name for c in by_default} == {n + end for n in AGAINST for end in ("", OTHER)}
    named = Selection(True, 3, frozenset({"fio", "exec"}), other).configurations("fio", offered)
    assert {c.name for c in named} == {"nothing", "nothing@other", "exec", "exec@other"}
    assert not known_names(other).refuse(["pipe", "idle", "all"], full=False)
    assert "configuration: idle\n" in known_names().refuse(["idle"], full=False)


@pytest.mark.thorough
def test_an_idle_agent_that_does_not_answer_is_no_measurement(other: Checkout) -> None:
    idle = IdleAgent("idle", "idle", other.agent)
    with pytest.raises(CannotMeasure, match=r"no answer from http://127\.0\.0\.1:1"), idle.armed():
        pytest.fail("must not be armed")


def test_rounds_take_turns(other: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the two is measured twice in a row, so that neither always goes first."""
    measured_in = []

    def measure(full: bool, tell: object, invocation: object, fold: object) -> micro.Figures:
        measured_in.append("old" if invocation == other.agent else "new")
        return {"number": float(len(measured_in))}

    monkeypatch.setattr(against, "measure_parts", measure)
    new, old = against.measure_both(checkout(), other, False, 3, lambda _: None)
    assert measured_in == ["old", "new", "new", "old", "old", "new"]
    assert [figures["number"] for figures in old] == [1, 4, 5]
    assert [figures["number"] for figures in new] == [2, 3, 6]


def test_the_fold_is_measured_by_the_checkouts_own_benchmarks(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "micro.py").write_text("def fold_alone(): return {'fold': 4711}")
    assert fold_of(tmp_path) == {"fold": 4711.0}


def test_an_agent_that_ends_at_once_is_reported(
    other: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    (other.path / "agent" / "__main__.py").write_text("raise SystemExit('it is too old')")
    with pytest.raises(AgentDidNotStart), running_agent(invocation=other.agent):
        pass
    assert main(["micro", "--against", str(other.path), "--rounds", "1"]) == 2
    assert "it is too old" in capsys.readouterr().err
