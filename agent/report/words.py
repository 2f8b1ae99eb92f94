"""What a report says in words: the same as the reports in a terminal."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from agent.report.subject import Side, Subject
from agent.show import comparison as compared
from agent.show.brief import sections
from agent.show.budget import made_up_of
from agent.show.finished import finished
from agent.show.header import LABELS, covered, label, machine, timing, when
from agent.show.header import text as known
from agent.show.kept import how_compared, impossible_times
from agent.show.sides import side_lines
from agent.show.trust import verdict
from agent.terminal.style import Style
from agent.terminal.values import command_line, mapping, printable, rows

PLAIN = Style(False)
MOCK = "Mock: synthetic events. Only the times of commands were measured."
PARTIAL = "Partial: the run was not over when this was saved."


def command_of(subject: Subject) -> str:
    """Return the command, or both, or what else was measured: the title."""
    commands = [one for side in subject.sides if (one := _command(subject, side))]
    if not commands:
        return f"Evidence of {covered(mapping(subject.document.get('scope'))) or 'a run'}"
    return " → ".join(dict.fromkeys(commands))


def _command(subject: Subject, side: Side) -> str:
    words = mapping(subject.plan.get("commands")).get(side.name)
    if not isinstance(words, list) and side.runs:
        words = side.runs[0].command.get("arguments")
    return command_line(words)


def headline(subject: Subject) -> str:
    """Return the result of a comparison in one sentence; nothing where nothing was compared."""
    how = mapping(subject.document.get("compared"))
    lines = compared.sentence(subject.plan, subject.comparison, PLAIN, how)
    said = next(iter(lines), "")
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def warnings(subject: Subject) -> list[str]:
    """Return what must not be overlooked."""
    runs = [run for side in subject.sides for run in side.runs]
    said = [MOCK] if any(run.evidence.get("mock") for run in runs) else []
    if any(run.evidence.get("state") == "partial" for run in runs):
        said.append(PARTIAL)
    said += [f"{line[:1].upper()}{line[1:]}." for line in impossible_times(subject.document)]
    refused = rows(mapping(subject.document.get("compared")).get("refused"))
    said += [
        f"Not comparable, and compared all the same: {printable(one.get('why'), 1000)}"
        for one in refused
    ]
    if not subject.is_series and subject.document.get("available") is False:
        said.append(f"No evidence: {printable(subject.document.get('reason'), 2000)}")
    return said


def side_facts(subject: Subject, side: Side) -> list[tuple[str, str]]:
    """Return name and value of what is known of a side, or of the one run."""
    if subject.is_series:
        words = mapping(subject.plan.get("commands")).get(side.name)
        return side_lines(side.name, words, side.described, subject.document)
    evidence = subject.document
    lines = finished(evidence)
    told = [*sections(evidence), ("timing", timing(evidence))]
    return [*lines, *told, ("verdict", _verdict(evidence))]


def _verdict(evidence: Mapping[str, Any]) -> str:
    if evidence.get("available") is not True:
        return ""
    first, *reasons = verdict(evidence, PLAIN)
    listed = "; ".join(reason.strip().removeprefix("- ") for reason in reasons)
    return first.removeprefix("Verdict: ") + (f": {listed}" if listed else "")


def about(subject: Subject) -> list[tuple[str, str]]:
    """Return the parts of the difference, the gain, and on what the result depends."""
    how = mapping(subject.document.get("compared"))
    return [
        ("parts", made_up_of(subject.comparison)),
        *compared.about(subject.plan, subject.comparison, how),
        *how_compared(subject.document),
    ]


def provenance(subject: Subject) -> list[tuple[str, str]]:
    """Return machine, kernel, labels, versions, by side where they differ, and the first time."""
    runs = [run for side in subject.sides for run in side.runs if run.evidence]
    if not runs:
        return []
    first = next((run for run in runs if run.evidence.get("manifest")), runs[0]).evidence
    is_one = not subject.is_series
    named = [(name, _by_side(subject, partial(_label, name))) for name in LABELS]
    return [
        ("machine", _by_side(subject, _machine)),
        ("kernel", _by_side(subject, partial(_of_manifest, "kernel"))),
        *((name, value) for name, value in named if is_one or name != "scenario"),
        ("scope", covered(mapping(first.get("scope"))) if is_one else ""),
        ("time" if is_one else "first run", when(first)),
        ("run", known(first.get("run_id")) if is_one else ""),
        ("agent", _by_side(subject, _version)),
        ("runs", "" if is_one else _of_whole(subject)),
    ]


def _by_side(subject: Subject, read: Callable[[Mapping[str, Any]], str]) -> str:
    """Return what is read of the evidence of each run: once if it is the same, else by side."""
    found = {
        side.name: list(dict.fromkeys(filter(None, map(read, _known_best(side)))))
        for side in subject.sides
    }
    values = list(dict.fromkeys(value for of_side in found.values() for value in of_side))
    if len(values) < 2:
        return "".join(values)
    return "; ".join(
        f"{name}: {', '.join(of_side) if of_side else 'none'}" for name, of_side in found.items()
    )


def _known_best(side: Side) -> list[Mapping[str, Any]]:
    """Return the evidence that has a manifest, as failed runs have none; or else all of it."""
    listed = [run.evidence for run in side.runs if run.evidence]
    return [evidence for evidence in listed if evidence.get("manifest")] or listed


def _label(name: str, evidence: Mapping[str, Any]) -> str:
    return known(label(evidence, name))


def _machine(evidence: Mapping[str, Any]) -> str:
    return machine(label(evidence, "machine"), mapping(evidence.get("manifest")))


def _of_manifest(name: str, evidence: Mapping[str, Any]) -> str:
    return known(mapping(evidence.get("manifest")).get(name))


def _version(evidence: Mapping[str, Any]) -> str:
    versions = mapping(mapping(evidence.get("manifest")).get("versions"))
    return known(versions.get("chainbench-agent"))


def _of_whole(subject: Subject) -> str:
    listed = rows(subject.document.get("runs"))
    return f"{len(listed)} with their evidence" if listed else ""
