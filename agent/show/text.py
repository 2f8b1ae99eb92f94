"""Evidence as text for people. Pure: a JSON object in, a string out.

Evidence read from a file may come from any source and any version of the agent. Every field may be
absent, null or of another type; unknown fields are ignored, and everything is escaped before it
reaches the terminal.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from agent.model import EVIDENCE_SCHEMA
from agent.sections.probes import DEFAULT_SECTIONS
from agent.sections.shown import SHOWN
from agent.terminal.charts import wrapped
from agent.terminal.style import Style
from agent.terminal.values import (
    count,
    duration,
    mapping,
    milliseconds,
    nanoseconds,
    number,
    percent,
    printable,
)
from agent.terminal.values import rows as objects

NARROWEST, WIDEST = 60, 120
MARGIN = "  "
LABELS = ("scenario", "impl", "variant", "commit", "dataset")
ALWAYS_SHOWN = ("produced", "received", "lost")


def render(
    evidence: Mapping[str, Any],
    status: Mapping[str, Any] | None = None,
    width: int = 80,
    color: bool = False,
) -> str:
    """Return the whole report, within ``width`` columns if names permit, ending in a newline."""
    style = Style(color)
    columns = min(max(width, NARROWEST), WIDEST) - len(MARGIN)
    parts = [header(evidence, mapping(status), style), hooks(evidence, columns, style)]
    if evidence.get("available") is False:
        parts.append(unavailable(evidence, style))
    else:
        parts += [section(evidence, name, columns, style) for name in listed(evidence)]
        parts.append(absent(evidence))
    parts += [
        verdict(evidence, columns, style),
        checks(evidence, columns, style),
        cost(evidence, style),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def titled(title: str, lines: Iterable[str], style: Style) -> list[str]:
    return [style.heading(title), *(MARGIN + line for line in lines)]


def table(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return two columns, without the rows that have no value."""
    return [f"{name:<10}{value}" for name, value in pairs if value]


def named(name: str, items: list[str], columns: int) -> list[str]:
    """Return the items next to their name, wrapped over as many lines as necessary."""
    first, *rest = wrapped(items, columns - 16, ", ")
    return [f"{printable(name, 15):<16}{first}", *(" " * 16 + line for line in rest)]


def header(evidence: Mapping[str, Any], status: Mapping[str, Any], style: Style) -> list[str]:
    """Return what identifies the run: machine, kernel, run id, labels, time."""
    manifest = mapping(evidence.get("manifest"))
    pairs = [
        ("machine", text(label(evidence, "machine") or status.get("machine"))),
        ("kernel", text(manifest.get("kernel"))),
        ("run", text(evidence.get("run_id"))),
        *((name, text(label(evidence, name))) for name in LABELS),
        ("time", when(evidence)),
        ("scope", covered(mapping(evidence.get("scope")))),
    ]
    lines = table(pairs)
    schema = number(evidence.get("schema"))
    if schema is not None and schema > EVIDENCE_SCHEMA:
        newer = f"schema {schema:g} is newer than this program's {EVIDENCE_SCHEMA}"
        lines.append(style.warning(f"{newer}: what follows may be incomplete"))
    return [*banner(evidence, style), *titled("Kernel evidence", lines, style)]


def banner(evidence: Mapping[str, Any], style: Style) -> list[str]:
    """Return what must not be overlooked: that the events are synthetic."""
    if not evidence.get("mock"):
        return []
    return [style.bad("mock: synthetic events; no number here was measured"), ""]


def label(evidence: Mapping[str, Any], name: str) -> object:
    return mapping(evidence.get("labels")).get(name) or evidence.get(name)


def text(value: object) -> str:
    """Return the value made printable, or an empty string for an absent one."""
    return "" if value is None or value == "" else printable(value)


def when(evidence: Mapping[str, Any]) -> str:
    times = [text(evidence.get(name)) for name in ("started_at", "stopped_at")]
    span = " – ".join(time for time in times if time)
    seconds = number(evidence.get("duration_s"))
    return ", ".join(filter(None, [span, "" if seconds is None else duration(seconds * 1e6)]))


def covered(scope: Mapping[str, Any]) -> str:
    """Return which tasks the run covers; a process's name shows whom its number was taken for."""
    if scope.get("pid") is not None:
        command, started = text(scope.get("command")), text(scope.get("process_started_at"))
        named = f"process {text(scope.get('pid'))}" + (f" ({command})" if command else "")
        return named + (f", started {started}" if started else "")
    if scope.get("cgroup") is not None:
        named = f"cgroup {text(scope.get('cgroup'))}"
        ids = scope.get("cgroup_ids")
        if isinstance(ids, list) and len(ids) > 1:
            named += f", made again, ids {', '.join(map(text, ids))}"
        return named + (", removed before the stop" if scope.get("cgroup_removed") else "")
    return "the whole machine" if scope.get("kind") == "system" else text(scope.get("kind"))


def unavailable(evidence: Mapping[str, Any], style: Style) -> list[str]:
    lines = [style.bad("available: false"), printable(evidence.get("reason"), 4000)]
    return titled("Nothing was measured", lines, style)


def listed(evidence: Mapping[str, Any]) -> list[str]:
    """Return the sections that were measured or that the evidence gives a reason for missing."""
    mentioned = {*evidence, *mapping(evidence.get("unavailable"))}
    return [name for name in SHOWN if name in mentioned]


def absent(evidence: Mapping[str, Any]) -> list[str]:
    """Return one line for the default sections that the evidence does not mention."""
    missing = [name for name in DEFAULT_SECTIONS if name not in listed(evidence)]
    return [f"Not in this evidence: {', '.join(missing)}"] if missing else []


def section(evidence: Mapping[str, Any], name: str, columns: int, style: Style) -> list[str]:
    """Return one section, or the reason why it is missing."""
    title, lines_of = SHOWN[name]
    content = evidence.get(name)
    if isinstance(content, dict):
        return titled(title, lines_of(content, columns), style)
    if name in evidence:
        return titled(title, [style.warning("malformed in this evidence")], style)
    why = mapping(evidence.get("unavailable")).get(name)
    return titled(title, [style.warning("not measured: ") + printable(why, 1000)], style)


def hooks(evidence: Mapping[str, Any], columns: int, style: Style) -> list[str]:
    """Return the hooks that programs were attached to, and the versions in use."""
    manifest = mapping(evidence.get("manifest"))
    lines: list[str] = []
    for name, used in mapping(manifest.get("hooks")).items():
        listed = used if isinstance(used, list) else [used]
        lines += named(name, [printable(hook) for hook in listed] or [""], columns)
    chosen = {name: manifest[name] for name in ("transport", "timing") if manifest.get(name)}
    versions = {**mapping(manifest.get("versions")), **chosen}
    with_what = [f"{printable(name)} {printable(value)}" for name, value in versions.items()]
    lines += wrapped(with_what, columns, " · ")
    return titled("Hooks", lines, style) if lines else []


def verdict(evidence: Mapping[str, Any], columns: int, style: Style) -> list[str]:
    """Return the verdict, its reasons and each stream's counts; most counts are 0 and not shown."""
    completeness = mapping(evidence.get("completeness"))
    word = completeness.get("verdict")
    if word is None:
        return []
    tone = {"complete": style.good, "degraded": style.warning}.get(str(word), style.bad)
    reasons = completeness.get("reasons")
    lines = [
        line
        for reason in (reasons if isinstance(reasons, list) else [])
        for line in hanging(f"- {_reason(printable(reason, 1000))}", columns)
    ]
    for name, stream in mapping(completeness.get("streams")).items():
        known = {k: v for k, v in mapping(stream).items() if number(v) is not None}
        counts = [f"{printable(k)} {count(v)}" for k, v in known.items() if v or k in ALWAYS_SHOWN]
        lines += named(name, counts, columns) if counts else []
    return titled(f"Verdict: {tone(printable(word))}", lines, style)


def _reason(text: str) -> str:
    """Return a reason; what a failed check says stands in full among the checks."""
    code, _, said = text.partition(": ")
    return f"{code}: {said.partition(':')[0]}" if code == "check_failed" else text


def hanging(text: str, columns: int) -> list[str]:
    """Return words wrapped to the width, all lines but the first indented."""
    first, *rest = wrapped(text.split(), columns - len(MARGIN), " ")
    return [first, *(MARGIN + line for line in rest)]


def checks(evidence: Mapping[str, Any], columns: int, style: Style) -> list[str]:
    """Return the names of the checks that passed, and what the others found in full."""
    listed = objects(evidence.get("checks"))
    if not listed:
        return []
    passed = [printable(check.get("name"), 40) for check in listed if check.get("pass") is True]
    lines = hanging(f"passed: {', '.join(passed)}", columns) if passed else []
    for check in listed:
        if check.get("pass") is not True:
            lines += hanging(f"{style.bad('failed')}: {_comparison(check)}", columns)
    return titled(f"Checks: {len(passed)} of {len(listed)} passed", lines, style)


def _comparison(check: Mapping[str, Any]) -> str:
    """Return a check's name and what it says."""
    name, said = printable(check.get("name"), 40), check.get("text")
    if isinstance(said, str):
        return f"{name}: {printable(said, 1000)}"
    shown = nanoseconds if check.get("unit") == "ns" else count  # an older agent's
    return f"{name}: {shown(check.get('ours'))}, the kernel says {shown(check.get('kernel'))}"


def cost(evidence: Mapping[str, Any], style: Style) -> list[str]:
    """Return the resources that the agent used, which excludes the cost of the hooks."""
    overhead = mapping(evidence.get("overhead"))
    if not overhead:
        return []
    cpu, wall, events = (number(overhead.get(k)) for k in ("agent_cpu_ms", "wall_ms", "events"))
    lines = [
        f"{count(events)} events in {milliseconds(wall)}",
        f"{milliseconds(cpu)} of CPU in the agent's processes, {percent(cpu, wall)} of one CPU",
    ]
    if cpu is not None and events:
        lines[1] += f", {duration(cpu * 1000 / events)} per event"
    for process in objects(overhead.get("processes")):
        role, pid = printable(process.get("role"), 15), printable(process.get("pid"), 10)
        line = f"{role:<16}pid {pid:<10}{milliseconds(process.get('cpu_ms'))}"
        waited = number(process.get("run_delay_ms"))
        lines.append(line if waited is None else f"{line}, waited {milliseconds(waited)} for a CPU")
    return titled("Cost of collecting", lines, style)
