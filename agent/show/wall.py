"""Where the wall time went: bars that add up to all of it."""

from collections.abc import Mapping
from typing import Any

from agent.show.layout import named
from agent.terminal.charts import Bar, chart, wrapped
from agent.terminal.values import (
    FEW,
    LONGEST_NAME,
    counted,
    mapping,
    milliseconds,
    number,
    percent,
    printable,
    rows,
    significant,
)

TITLE = "Wall time: where it went"
WORDS = {
    "computing": "computing",
    "waiting_for_cpu": "waiting for a CPU",
    "blocked": "blocked",
    "stopped": "stopped",
    "no_task": "no task",
    "unknown": "unknown",
}
"""The states, in their order."""
EDGES = {
    ("exec", "exit"): "from the exec of the command to its end",
    ("exec", "stop"): "from the exec of the command to the stop of the run",
    ("start", "stop"): "from the start of the run to its stop",
}
LEAST_SHARE = 0.0005
"""Smaller parts are not worth a word; the states are all shown if they are not 0."""
LIVES = 3
"""Threads or commands that are shown; `show --all` has the rest."""
LEAST_PART = 0.01
"""The same of the life of a thread."""
LONGEST_CGROUP = 60
WORTH_ASKING = 0.05
"""Of the wall time: after a shorter wait nobody asks whether a quota was the reason."""
HIDDEN = "the control groups above the agent's own are hidden from it"


def wall(evidence: Mapping[str, Any], columns: int) -> list[str]:
    """Return a line, a bar for each state that there was, and what these consist of.

    Nothing for evidence of earlier agents and for runs of the whole machine, which have none; the
    reason where it was not measured.
    """
    found = mapping(evidence.get("wall"))
    if not found or mapping(evidence.get("scope")).get("kind") == "system":
        return []
    if found.get("available") is not True:
        return wrapped(
            f"not measured: {printable(found.get('reason'), 1000)}".split(" "), columns, " "
        )
    total = number(found.get("wall_ms"))
    edges = EDGES.get((str(found.get("began")), str(found.get("ended"))), "")
    lines = wrapped(f"{milliseconds(total)} {edges}".split(" "), columns, " ")
    lines += chart(_bars(found, total), columns)
    lines += wrapped(_parts(found, total), columns, "; ")
    for said in _held_back(evidence, total):
        lines += wrapped(said.split(" "), columns, " ")
    if ends := _ends(found, total):
        lines += named("blocked until", ends, columns)
    if commands := _had_the_cpu(found):
        lines += named("CPU taken by", commands, columns)
    return lines + _budgets(evidence, columns)


def _bars(found: Mapping[str, Any], total: float | None) -> list[Bar]:
    states = mapping(found.get("states"))
    bars = []
    for name, words in WORDS.items():
        ms = number(mapping(states.get(name)).get("ms"))
        if ms:
            bars.append(Bar(words, ms, f"{milliseconds(ms)}  {percent(ms, total):>6}"))
    return bars


def _ends(found: Mapping[str, Any], total: float | None) -> list[str]:
    """Return the calls that tasks were woken from when nothing else went on, and their commands."""
    ends = []
    for row in rows(found.get("blocked_until"))[:FEW]:
        if ms := number(row.get("ms")):
            command, reason = (printable(row.get(n), LONGEST_NAME) for n in ("command", "reason"))
            ends.append(f"{command} in {reason} {milliseconds(ms)} ({percent(ms, total)})")
    return ends


def _had_the_cpu(found: Mapping[str, Any]) -> list[str]:
    """Return the commands that had the CPU while the scope waited for it, if that was long."""
    total = number(found.get("wall_ms"))
    at_most = "at most " if number(found.get("for_busy_cpu_excess_ms")) else ""
    taken = []
    for row in rows(found.get("for_busy_cpu_of"))[:FEW]:
        ms = number(row.get("ms"))
        if ms and total and ms / total >= LEAST_SHARE:
            command = printable(row.get("command"), LONGEST_NAME)
            taken.append(f"{command} {at_most}{milliseconds(ms)} ({percent(ms, total)})")
    return taken


def _budgets(evidence: Mapping[str, Any], columns: int) -> list[str]:
    """Return what threads did with their lives: by command, or one by one if there is but one.

    Nothing for a single thread, whose life is what the states above tell of.
    """
    found, (first, held_ms) = mapping(evidence.get("wall")), held(evidence)
    by_command, by_thread = (mapping(found.get(n)) for n in ("by_command", "by_thread"))
    shown, which = rows(by_command.get("top")), "the threads of each command, in sum:"
    if len(shown) == 1:
        shown, which = rows(by_thread.get("top")), "the threads that lived longest:"
    if len(shown) < 2:
        return []
    lines = [which]
    for row in shown[:LIVES]:
        same = "command" if row.get("tid") is None else "tid"
        was_held = first and row.get(same) == first.get(same)
        lines += named(_name(row), _life(row, held_ms if was_held else 0.0), columns)
    if left := number(by_thread.get("left")):
        said = f"{counted(left, 'thread')} that left the scope alive: in none of these"
        lines += wrapped(said.split(" "), columns, " ")
    return lines


def held(evidence: Mapping[str, Any]) -> tuple[Mapping[str, Any], float]:
    """Return the thread that `run` has held, stopped, until it became the command, and how long.

    It may have been stopped for less: the time is that from the start of the run to the exec.
    """
    found, scope = mapping(evidence.get("wall")), mapping(evidence.get("scope"))
    if not mapping(evidence.get("command")) or found.get("began") != "exec":
        return {}, 0.0
    threads = rows(mapping(found.get("by_thread")).get("top"))
    first = next((row for row in threads if row.get("tid") == scope.get("pid")), {})
    return first, number(found.get("before_ms")) or 0.0


def _name(row: Mapping[str, Any]) -> str:
    name = printable(row.get("command"), LONGEST_NAME)
    return name if row.get("tid") is None else printable(f"{row.get('tid')} {name}")


def _life(row: Mapping[str, Any], held_ms: float) -> list[str]:
    """Return how long, and the parts of it that are long enough to matter.

    ``held_ms``: for how long at most it was stopped by `run`.
    """
    life, stopped = number(row.get("lifetime_ms")), number(row.get("stopped_ms")) or 0.0
    by_run = min(stopped, held_ms)
    threads = number(row.get("threads"))
    first = milliseconds(life) + (f" in {counted(threads, 'thread')}" if threads else "")
    parts = [
        (row.get("on_cpu_ms"), "on a CPU"),
        (row.get("waiting_ms"), "waiting for one"),
        *(
            (of.get("ms"), f"in {printable(of.get('reason'), LONGEST_NAME)}")
            for of in rows(row.get("blocked_in"))[:FEW]
        ),
        (by_run, "held by run before its exec"),
        (stopped - by_run, "stopped"),
        (row.get("unaccounted_ms"), "not accounted for"),
    ]
    known = [(number(ms), words) for ms, words in parts]
    return [
        first,
        *(
            f"{milliseconds(ms)} {words}"
            for ms, words in known
            if ms and life and ms / life >= LEAST_PART
        ),
    ]


def _parts(found: Mapping[str, Any], total: float | None) -> list[str]:
    """Return how many computed at once, and for which kind of CPU was waited."""
    parts = []
    at_once = number(found.get("at_once"))
    if at_once is not None:
        parts.append(f"while computing, {significant(at_once)} at once")
    throttled = _is_part(number(found.get("throttled_ms")), total)
    for name, words in (
        ("for_busy_cpu_ms", "for a CPU that another task had"),
        ("for_idle_cpu_ms", f"for an idle CPU{'' if throttled else ' to wake up'}"),
    ):
        ms = number(found.get(name))
        if _is_part(ms, total):
            parts.append(f"waiting {milliseconds(ms)} {words}")
    return parts


def _held_back(evidence: Mapping[str, Any], total: float | None) -> list[str]:
    """Return what kept the tasks from the CPUs from outside: a CPU quota, a hypervisor."""
    found, quota = mapping(evidence.get("wall")), mapping(evidence.get("cpu_quota"))
    throttled, stolen = number(found.get("throttled_ms")), number(evidence.get("stolen_ms"))
    parts = []
    if _is_part(throttled, total):
        said = f"of the waiting, up to {milliseconds(throttled)} throttled by the CPU quota"
        parts.append(f"{said}{_limits(quota)}")
    elif throttled is None and quota and _is_long(found, total):
        why = printable(quota.get("reason") or HIDDEN, 200)
        parts.append(f"not known whether a CPU quota throttled it: {why}")
    if stolen:
        parts.append(f"the hypervisor took CPUs away for {milliseconds(stolen)}, all CPUs together")
    return parts


def _limits(quota: Mapping[str, Any]) -> str:
    """Return the quotas in words, the innermost first."""
    told = []
    for row in rows(quota.get("limits")):
        quota_ms, period_ms = number(row.get("quota_ms")), number(row.get("period_ms"))
        if row.get("throttled") and quota_ms is not None:
            each = f"{milliseconds(quota_ms)} in each {milliseconds(period_ms)}"
            told.append(f"{each}, cgroup {printable(row.get('cgroup'), LONGEST_CGROUP)}")
    return f" ({'; '.join(told[:FEW])})" if told else ""


def _is_part(ms: float | None, total: float | None) -> bool:
    return bool(ms and total and ms / total >= LEAST_SHARE)


def _is_long(found: Mapping[str, Any], total: float | None) -> bool:
    states = mapping(found.get("states"))
    waited = number(mapping(states.get("waiting_for_cpu")).get("ms"))
    return bool(waited and total and waited / total >= WORTH_ASKING)
