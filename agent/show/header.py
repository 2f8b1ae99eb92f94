"""What identifies a run: the machine, the labels, the time, the scope."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from agent.model import EVIDENCE_SCHEMA
from agent.show.layout import table, titled
from agent.terminal.style import Style
from agent.terminal.values import counted, duration, mapping, number, printable

LABELS = ("scenario", "impl", "variant", "commit", "dataset")
UTC = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d+)?)(?:Z|\+00:00)")


def header(
    evidence: Mapping[str, Any], status: Mapping[str, Any], columns: int, style: Style
) -> list[str]:
    """Return what identifies the run: machine, kernel, run id, labels, time, scope."""
    manifest = mapping(evidence.get("manifest"))
    pairs = [
        ("machine", machine(label(evidence, "machine") or status.get("machine"), manifest)),
        ("kernel", text(manifest.get("kernel"))),
        ("run", text(evidence.get("run_id"))),
        *((name, text(label(evidence, name))) for name in LABELS),
        ("time", when(evidence)),
        ("scope", covered(mapping(evidence.get("scope")))),
        ("timing", timing(evidence)),
    ]
    lines = table(pairs, columns)
    schema = number(evidence.get("schema"))
    if schema is not None and schema > EVIDENCE_SCHEMA:
        newer = f"schema {schema:g} is newer than this program's {EVIDENCE_SCHEMA}"
        lines.append(style.warning(f"{newer}: what follows may be incomplete"))
    return [*banner(evidence, style), *titled("Kernel evidence", lines, style)]


def timing(evidence: Mapping[str, Any]) -> str:
    """Return what waits for a CPU are timed by if that makes the short ones inexact; else ""."""
    if mapping(evidence.get("manifest")).get("timing") != "accounting":
        return ""
    return (
        "by the scheduler's accounting: a wait for a CPU may be off by about 1 µs, and one for an"
        " idle CPU mostly reads 0"
    )


def banner(evidence: Mapping[str, Any], style: Style) -> list[str]:
    """Return what must not be overlooked: that the events are synthetic, or that it is a part."""
    said = []
    if evidence.get("mock"):
        said += [style.bad("mock: synthetic events; no number here was measured"), ""]
    if evidence.get("state") == "partial":
        said += [style.bad("partial: what was known last of a run that never finished"), ""]
    return said


def label(evidence: Mapping[str, Any], name: str) -> object:
    return mapping(evidence.get("labels")).get(name) or evidence.get(name)


def text(value: object) -> str:
    """Return the value made printable, or an empty string for an absent one."""
    return "" if value is None or value == "" else printable(value)


def machine(name: object, manifest: Mapping[str, Any]) -> str:
    cpus = manifest.get("cpus")
    return ", ".join(filter(None, [text(name), counted(cpus, "CPU") if number(cpus) else ""]))


def when(evidence: Mapping[str, Any]) -> str:
    """Return from when to when the run measured, and the time between the two.

    ``duration_s`` is longer: it begins when attaching does. Evidence of earlier agents says when
    the start was requested, which may be seconds earlier, as programs are compiled first: of that
    only the end is of use.
    """
    since, until = evidence.get("measured_from"), evidence.get("measured_to")
    if text(since) and text(until):
        return ", ".join(filter(None, [span(since, until), between(since, until)]))
    seconds = number(evidence.get("duration_s"))
    took = "" if seconds is None else duration(seconds * 1e6)
    ended = text(evidence.get("stopped_at")) and f"ended {moment(evidence.get('stopped_at'))}"
    return ", ".join(filter(None, [took, ended]))


def span(since: object, until: object) -> str:
    """Return two times, the date only once if it is the same."""
    first, last = (UTC.fullmatch(text(value)) for value in (since, until))
    if first and last and first[1] == last[1]:
        return f"{first[1]} {first[2]} – {last[2]} UTC"
    return f"{moment(since)} – {moment(until)}"


def between(since: object, until: object) -> str:
    """Return how long after the one time the other is, or an empty string if one of them is none.

    Evidence has times in whole milliseconds: of what is shorter only that is known.
    """
    try:
        took = datetime.fromisoformat(text(until)) - datetime.fromisoformat(text(since))
    except (ValueError, TypeError):  # no time, or only one of them with an offset from UTC
        return ""
    return duration(took / timedelta(microseconds=1)) if took else "under 1 ms"


def moment(value: object) -> str:
    found = UTC.fullmatch(text(value))
    return f"{found[1]} {found[2]} UTC" if found else text(value)


def covered(scope: Mapping[str, Any]) -> str:
    """Return which tasks the run covers; a process's name shows which one a pid meant."""
    if scope.get("pid") is not None:
        return _process(scope)
    if scope.get("cgroup") is not None:
        named = f"cgroup {text(scope.get('cgroup'))}"
        ids = scope.get("cgroup_ids")
        if isinstance(ids, list) and len(ids) > 1:
            named += f", created again, ids {', '.join(map(text, ids))}"
        return named + (", removed before the stop" if scope.get("cgroup_removed") else "")
    return "the whole machine" if scope.get("kind") == "system" else text(scope.get("kind"))


def _process(scope: Mapping[str, Any]) -> str:
    command, started = text(scope.get("command")), scope.get("process_started_at")
    named = f"process {text(scope.get('pid'))}" + (f" ({command})" if command else "")
    if scope.get("host_pid") not in (None, scope.get("pid")):
        named += f", {text(scope.get('host_pid'))} on the host"
    if scope.get("kind") == "caller":
        named += ", which started the run"
    return named + (f", started {moment(started)}" if text(started) else "")
