"""What ``compare`` says of the runs that it put together: which, how timed, what was set aside."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from agent.show.amounts import percent
from agent.terminal.values import count, counted, mapping, number, printable
from agent.terminal.values import rows as objects

LONGEST_SELECTOR = 100
LONGEST_VALUE = 60
INSTEAD = {
    "evidence": "the wall time in the evidence",
    "measured": "how long was measured",
}
"""What runs are timed by instead of the time of the command."""
TIMED_BY = {
    "evidence": "the wall time in the evidence, since what the commands took is not known of all",
    "measured": "for how long was measured, since nothing else is known of all",
}
"""How long runs took, where that is not the time of the command."""


def is_of_compare(document: Mapping[str, Any]) -> bool:
    """Whether a series was put together by ``compare``, of runs that were kept."""
    return isinstance(document.get("compared"), dict)


def banners(document: Mapping[str, Any]) -> list[str]:
    """Return what must not be overlooked: synthetic events, and reasons that were set aside."""
    lines = []
    if any(mapping(run.get("evidence")).get("mock") for run in objects(document.get("runs"))):
        lines.append("mock: synthetic events; only the times of the commands were measured")
    lines += impossible_times(document)
    refused = objects(mapping(document.get("compared")).get("refused"))
    return [*lines, *(f"forced, although {printable(row.get('why'), 1000)}" for row in refused)]


def impossible_times(document: Mapping[str, Any]) -> list[str]:
    """Return that runs have a time that no command takes, so that all are timed by another."""
    compared = mapping(document.get("compared"))
    listed = _texts(compared.get("impossible_times"))
    timed_by = INSTEAD.get(str(compared.get("timed_by")))
    if not listed or timed_by is None:
        return []
    return [
        f"the time of the command is 0, below 0 or beyond measure in {counted(len(listed), 'run')}"
        f" (the first is {listed[0]}): all are compared by {timed_by}"
    ]


def selected(name: str, document: Mapping[str, Any]) -> str:
    """Return the argument that a side was chosen by; empty for a document of ``run``."""
    text = _selectors(document).get(name)
    return "" if text is None else printable(text, LONGEST_SELECTOR)


def selected_apart(name: str, document: Mapping[str, Any]) -> str:
    """Return the same; empty if both sides were chosen by one argument."""
    texts = list(_selectors(document).values())
    return "" if all(text == texts[0] for text in texts) else selected(name, document)


def _selectors(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(mapping(document.get("compared")).get("selected"))


def labels(name: str, document: Mapping[str, Any]) -> str:
    """Return the labels that only one side's runs have: ``commit abc, variant numpy``.

    The scenario of the side's own name is no news.
    """
    sides = _labels(document)
    common, own = _common(sides), mapping(sides.get(name))
    return _told(
        {
            label: values
            for label, values in own.items()
            if label not in common and (label, values) != ("scenario", [name])
        }
    )


def _labels(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(mapping(document.get("compared")).get("labels"))


def _common(sides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the labels that are the same on both sides."""
    first, *others = [mapping(side) for side in sides.values()] or [{}]
    return {
        label: values
        for label, values in first.items()
        if all(other.get(label) == values for other in others)
    }


def _told(found: Mapping[str, Any]) -> str:
    told = [
        f"{printable(label, LONGEST_VALUE)} {_alternatives(values)}"
        for label, values in found.items()
        if isinstance(values, list) and values
    ]
    return ", ".join(told)


def _alternatives(values: list[object]) -> str:
    return " or ".join(printable(value, LONGEST_VALUE) for value in values)


def how_compared(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return label and text of what both sides have in common, what was left out, and notes."""
    compared = mapping(document.get("compared"))
    return [
        ("both", _told(_common(_labels(document)) | _kernel(compared))),
        ("left out", _left_out(compared)),
        ("timed by", TIMED_BY.get(str(compared.get("timed_by")), "")),
        ("across", ", ".join(_texts(compared.get("across")))),
        *(("note", text) for text in _texts(compared.get("notes"))),
        ("A/A", _floor(mapping(compared.get("aa")))),
    ]


def _kernel(compared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kernel as a label, if it is known and the same on both sides."""
    sides = mapping(mapping(compared.get("facts")).get("kernel"))
    return _common({side: {"kernel": values} for side, values in sides.items()})


def _texts(listed: object) -> list[str]:
    return [printable(one, 500) for one in listed] if isinstance(listed, list) else []


def _left_out(compared: Mapping[str, Any]) -> str:
    reasons = Counter(printable(row.get("why"), 200) for row in objects(compared.get("left_out")))
    return ", ".join(f"{counted(runs, 'run')}: {why}" for why, runs in reasons.items())


def _floor(aa: Mapping[str, Any]) -> str:
    """Return what the splits of one group show of this machine."""
    if number(aa.get("floor_pct")) is None:
        return ""
    return (
        f"19 of 20 random splits of these runs differ by less than {percent(aa.get('floor_pct'))},"
        f" and {count(aa.get('conclusive'))} of {count(aa.get('splits'))} would have been"
        f" conclusive; a real difference of {percent(aa.get('detectable_pct'))} would probably"
        " have been found"
    )


def split(document: Mapping[str, Any]) -> str:
    """Return what the two sides of an A/A comparison are; nothing for any other."""
    aa = mapping(mapping(document.get("compared")).get("aa"))
    if not aa:
        return ""
    seed = count(aa.get("seed"))
    return f"A/A: one group of runs, split at random (--seed {seed}); whatever differs is noise"
