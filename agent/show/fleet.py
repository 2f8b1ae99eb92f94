"""The machines of a run over several agents: what each showed, and what all did together."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from agent.show.layout import titled
from agent.terminal.charts import grid, wrapped
from agent.terminal.evidence import LATENCIES, verdict
from agent.terminal.style import Style
from agent.terminal.values import count, counted, duration, mapping, milliseconds, printable
from agent.terminal.values import rows as objects

TITLE = "Machines"
LONGEST_MACHINE = 30
COMMAND = " curl "
"""What the line begins with that ends a run: it is there to be copied."""
CONTINUED = " \\"
HEADINGS = ("machine", "measured", "verdict", "wait p99", "I/O p99", "off-CPU", "execs")


def fleet(evidence: Mapping[str, Any], columns: int, style: Style) -> list[str]:
    """Return one row for each machine, one for all, and why a machine has none; else nothing."""
    found = mapping(evidence.get("fleet"))
    listed = objects(found.get("machines"))
    if not listed:
        return []
    known, missing = [], []
    for row in listed:
        own = evidence if row.get("runs_workload") else mapping(row.get("evidence"))
        if own.get("available") is True:
            known.append(_row(_name(row), _measured(own), verdict(own), own))
        else:
            missing.append((_name_and_url(row), _why_not(row, own)))
    together = mapping(found.get("merged"))
    if together.get("available") is True:
        known.append(_row("together", "all these", _verdict(together), together))
    lines = grid([HEADINGS, *known], columns) if known else []
    for name, why in missing:
        reason, command, line = f"{name}: {why}".partition(COMMAND)
        lines += wrapped([style.warning("no evidence of"), *reason.split(" ")], columns, " ")
        lines += _to_be_copied(f"{command.lstrip()}{line}", columns)
    return titled(TITLE, [*lines, *_reasons(together, columns)], style)


def of_series(document: Mapping[str, Any]) -> str:
    """Return which other machines were measured in a series, and in how many of its runs."""
    found: Counter[str] = Counter()
    for run in objects(document.get("runs")):
        listed = objects(mapping(mapping(run.get("evidence")).get("fleet")).get("machines"))
        for row in listed:
            if not row.get("runs_workload"):
                known = mapping(row.get("evidence")).get("available") is True
                found[_name(row)] += known
    counts = (f"{name} in {counted(runs, 'run')}" for name, runs in sorted(found.items()))
    return f"next to it: {', '.join(counts)} (each run's fleet in the file)" if found else ""


def _name(row: Mapping[str, Any]) -> str:
    return printable(row.get("machine") or row.get("agent"), LONGEST_MACHINE)


def _measured(evidence: Mapping[str, Any]) -> str:
    kind = mapping(evidence.get("scope")).get("kind")
    return "all of it" if kind == "system" else "workload"


def _name_and_url(row: Mapping[str, Any]) -> str:
    url = printable(row.get("agent"), 100)
    return f"{_name(row)} ({url})" if row.get("machine") else url


def _why_not(row: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    if row.get("runs_workload") and row.get("reason") and row["reason"] == evidence.get("reason"):
        return "see above"
    why = row.get("reason") or evidence.get("reason") or "it gives no reason"
    return printable(why, 2000)


def _to_be_copied(line: str, columns: int) -> list[str]:
    """Return a command line as a shell takes it on several lines; nothing if it is empty."""
    *lines, last = wrapped(line.split(" "), columns - len(CONTINUED), " ")
    return [*(f"{each}{CONTINUED}" for each in lines), *filter(None, [last])]


def _row(
    name: str, measured: str, word: str | None, evidence: Mapping[str, Any]
) -> tuple[str, ...]:
    p99 = (duration(mapping(evidence.get(section)).get("p99_us")) for section in LATENCIES)
    off_cpu = milliseconds(mapping(evidence.get("offcpu")).get("total_ms"))
    execs = count(mapping(evidence.get("exec")).get("exec_count"))
    return (name, measured, printable(word, 20), *p99, off_cpu, execs)


def _verdict(together: Mapping[str, Any]) -> str | None:
    word = mapping(together.get("completeness")).get("verdict")
    return word if isinstance(word, str) else None


def _reasons(together: Mapping[str, Any], columns: int) -> list[str]:
    """Return what is wrong with the sums; what is wrong with a machine stands in its own row."""
    reasons = mapping(together.get("completeness")).get("reasons")
    listed = [str(reason) for reason in reasons] if isinstance(reasons, list) else []
    own = [reason for reason in listed if reason.startswith(("same_machine:", "not_merged:"))]
    lines: list[str] = []
    for reason in own:
        lines += wrapped(f"- {printable(reason, 500)}".split(" "), columns, " ")
    return lines
