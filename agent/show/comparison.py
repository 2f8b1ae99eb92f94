"""How two commands compare, as text: the result in a sentence, the gain, and what it rests on."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from agent.show.amounts import FEWEST, p, percent, plain
from agent.show.cause import cause, enough_to_find, in_spite
from agent.show.certain import DECIDED
from agent.show.differences import COMPARED
from agent.terminal.style import Style
from agent.terminal.values import ABSENT, count, counted, mapping, number, printable

NOTHING: Mapping[str, Any] = MappingProxyType({})
LONGEST_REASON = 80
LONGEST_CONDITION = 200
NOT_VARIED = "layout of memory and environment were not varied"
ORDERS = {
    "interleaved": "the two sides in turn",
    "sequential": "one side after the other",
    "mixed": "partly in turn",
}


def is_of_groups(comparison: Mapping[str, Any]) -> bool:
    """Whether the runs were compared as two groups; files of earlier versions have pairs only."""
    return comparison.get("method") == "groups"


def is_of_equals(compared: Mapping[str, Any]) -> bool:
    """Whether two halves of one group were compared, of which any difference is noise."""
    return bool(mapping(compared.get("aa")))


def sentence(
    plan: Mapping[str, Any],
    comparison: Mapping[str, Any],
    style: Style,
    compared: Mapping[str, Any] = NOTHING,
) -> list[str]:
    """Return the result, or nothing where nothing was compared."""
    return [result(plan, comparison, style, compared), ""] if comparison else []


def result(
    plan: Mapping[str, Any],
    comparison: Mapping[str, Any],
    style: Style,
    compared: Mapping[str, Any],
) -> str:
    """Return how the sides compare, in a sentence."""
    if is_of_equals(compared) and comparison.get("outcome") in DECIDED:
        return style.warning(f"a false alarm: the second half takes {_change(comparison)}")
    outcome = comparison.get("outcome")
    changed = _change(comparison)
    if outcome in DECIDED:
        mark = style.good if outcome == "smaller" else style.bad
        return mark(f"optimized takes {changed}{provided(comparison)}") + cause(comparison)
    if outcome == "too small":
        least = percent(100 * (number(plan.get("min_effect")) or 0))
        return f"no difference that matters (--min-effect {least}): {changed}{in_spite(comparison)}"
    if outcome == "undecided":
        found = f"~ no difference found ({_tested(comparison)})"
        if is_of_equals(compared):
            return found
        return f"{found}{_detectable(comparison)}{in_spite(comparison)}{enough_to_find(comparison)}"
    if outcome == "drift":
        return f"no decision: a drift over time may be all of the difference: {changed}"
    if is_of_groups(comparison):
        return f"no decision: {_both_sizes(comparison)}, and a 95 % interval takes {FEWEST} of each"
    pairs = counted(comparison.get("pairs"), "pair")
    return f"no decision: {pairs}, and a 95 % interval takes {FEWEST}"


def provided(comparison: Mapping[str, Any]) -> str:
    """Return on what a result depends, after a comma; nothing for pairs and earlier versions."""
    told = comparison.get("conclusive_if")
    return f", if {printable(told, LONGEST_CONDITION)}" if isinstance(told, str) else ""


def size_of(comparison: Mapping[str, Any]) -> str:
    """Return the number of pairs, or of the runs of both groups: ``10``, ``10+12``."""
    if not is_of_groups(comparison):
        return count(comparison.get("pairs"))
    return "+".join(count(size) for size in _sizes(comparison))


def _both_sizes(comparison: Mapping[str, Any]) -> str:
    before, after = _sizes(comparison)
    return f"{count(before)} and {counted(after, 'run')}"


def _sizes(comparison: Mapping[str, Any]) -> Sequence[object]:
    runs = mapping(comparison.get("runs"))
    return [runs.get(side) for side in COMPARED]


def _detectable(comparison: Mapping[str, Any]) -> str:
    """Return what would have been found; nothing if it is not known, or all runs are alike."""
    size = percent(number(comparison.get("detectable_pct")) or 0)
    return "" if size == percent(0) else f"; one of {size} would probably have been"


def _tested(comparison: Mapping[str, Any]) -> str:
    return f"{p(comparison.get('p'))} n={size_of(comparison)}"


def _change(comparison: Mapping[str, Any]) -> str:
    change = mapping(comparison.get("change_pct"))
    middle = number(change.get("middle"))
    bounds = [number(change.get(name)) for name in ("low", "high")]
    if middle is None or None in bounds:
        return ABSENT
    word = "less" if middle < 0 else "more"
    sign = -1 if middle < 0 else 1
    low, high = sorted(sign * bound for bound in bounds if bound is not None)
    interval = f"95 % interval {plain(low)} – {percent(high)}"
    return f"{percent(abs(middle))} {word} time ({interval}, {_tested(comparison)})"


def about(
    plan: Mapping[str, Any],
    comparison: Mapping[str, Any],
    compared: Mapping[str, Any] = NOTHING,
) -> list[tuple[str, str]]:
    """Return whether anything is decided, the gain, and on what the result depends."""
    if not comparison:
        return []
    return [
        ("result", "" if is_of_equals(compared) else _conclusive(comparison)),
        ("gain", _gain(mapping(comparison.get("gain_pct")))),
        ("", _two_percentages(comparison)),
        ("order", _order(plan, comparison, compared)),
        ("over time", _drift(mapping(comparison.get("drift")))),
    ]


def _conclusive(comparison: Mapping[str, Any]) -> str:
    """Return whether the comparison decides anything; nothing for files of earlier versions."""
    if comparison.get("conclusive") is True:
        return f"conclusive{provided(comparison)}"
    reasons = comparison.get("inconclusive_because")
    if not isinstance(reasons, list):
        return ""
    return f"inconclusive: {', '.join(printable(one, LONGEST_REASON) for one in reasons)}"


def _two_percentages(comparison: Mapping[str, Any]) -> str:
    """Return why the gain is not the change that the first sentence tells, if that tells one."""
    if comparison.get("outcome") not in (*DECIDED, "too small", "drift"):
        return ""
    ratios = "of each run to each of the other side" if is_of_groups(comparison) else "within pairs"
    return f"that is between two medians; the change above is by the ratios {ratios}"


def _gain(gain: Mapping[str, Any]) -> str:
    bounds = [gain.get(name) for name in ("low", "high")]
    told = f"{percent(gain.get('middle'))} of the median"
    if any(number(bound) is None for bound in bounds):
        return told
    return f"{told}, 95 % interval {' – '.join(map(plain, bounds))} %"


def _order(
    plan: Mapping[str, Any], comparison: Mapping[str, Any], compared: Mapping[str, Any]
) -> str:
    if is_of_groups(comparison):
        order = ORDERS.get(str(comparison.get("order")), "not known")
        why = printable(compared.get("why_no_pairs") or "", LONGEST_REASON)
        return f"{order}; no pairs, since {why}" if why else order
    pairs = counted(comparison.get("pairs"), "pair")
    told = f"at random, baseline first in {count(comparison.get('baseline_first'))} of {pairs}"
    if not compared:  # which has another seed, and its notes
        told += f" (--seed {printable(plan.get('seed'), 20)}); {NOT_VARIED}"
    return told


def _drift(drift: Mapping[str, Any]) -> str:
    if drift.get("is_certain") is not True:
        return ""
    by = number(mapping(drift.get("pct_per_run")).get("middle"))
    if by is None:
        return ""
    change = f"times {'rise' if by > 0 else 'fall'} by {percent(abs(by))}"
    return f"drift: within each side, {change} with every run that was made"
