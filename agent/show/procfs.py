"""Totals from /proc of a run without eBPF: of the tasks in scope, and of the whole machine."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.show.layout import table, titled
from agent.terminal.evidence import partial
from agent.terminal.style import Style
from agent.terminal.values import (
    FEW,
    counted,
    mapping,
    milliseconds,
    number,
    printable,
    size,
)
from agent.terminal.values import rows as objects

OF_TASKS = "Totals from /proc: tasks in scope, at least"
OF_GROUP = "Totals from /proc: tasks in scope"
OF_COMMAND = "Totals of the command, with the children that it waited for"
BY_COMMAND = ("CPU", "switches", "faults")
"""What is known better of a command than of tasks that are followed from outside."""
OF_MACHINE = "Totals from /proc: the whole machine"
KINDS = {
    "tasks": "of the tasks (figures that begin with /proc, unless 0)",
    "machine": "of the machine alone",
    "nothing": "none",
}
"""What a series says of the totals of its runs."""
IN_FULL = "all of them, the machine's too, by show --all or runs show --all"
OF_IO = {"read_bytes", "written_bytes", "read_calls", "write_calls"}
PRESSURES = {"cpu": "for a CPU", "io": "for I/O", "memory": "for memory"}


def procfs(
    evidence: Mapping[str, Any], columns: int, style: Style, *, whole: bool = True
) -> list[list[str]]:
    """Return the totals of the tasks, and of the machine; nothing if the evidence has none.

    Unless ``whole``, those of the machine only if there are none of tasks.
    """
    found, command = mapping(evidence.get("procfs")), _of_command(evidence)
    parts = [titled(OF_COMMAND, table(command, columns), style)] if command else []
    if not found:
        return parts
    if found.get("no_totals") is not None:
        why = f"not read: {printable(found.get('no_totals'), 1000)}"
        return [*parts, titled(OF_MACHINE, table([("totals", why)], columns), style)]
    tasks = mapping(found.get("tasks"))
    if tasks:
        is_floor = not objects_of(mapping(tasks.get("followed")).get("cgroup"))
        title = OF_TASKS if is_floor else OF_GROUP
        rows = [row for row in _of_tasks(tasks) if not (command and row[0] in BY_COMMAND)]
        parts.append(titled(title, table(rows, columns), style))
    elif found.get("no_tasks") is not None:
        why = f"not followed: {printable(found.get('no_tasks'), 1000)}"
        parts.append(titled(OF_GROUP, table([("tasks", why)], columns), style))
    if whole or not tasks:
        machine = _of_machine(mapping(found.get("machine")))
        parts.append(titled(OF_MACHINE, table(machine, columns), style))
    return parts


def of_runs(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return in how many runs without eBPF there are totals, and where; nothing if all had it."""
    counts = Counter(_totals_of(run) for run in runs if run.get("available") is False)
    said = [
        f"{what} in {counted(counts[kind], 'run')}" for kind, what in KINDS.items() if counts[kind]
    ]
    where = f"; {IN_FULL}" if counts["tasks"] or counts["machine"] else ""
    return f"from /proc: {', '.join(said)}{where}" if said else ""


def _totals_of(run: Mapping[str, Any]) -> str:
    """Return what the totals are of, as `KINDS` has it: the machine's are there with the tasks'."""
    found = mapping(run.get("procfs"))
    if mapping(found.get("tasks")):
        return "tasks"
    return "machine" if mapping(found.get("machine")).keys() - {"missing"} else "nothing"


def objects_of(value: object) -> list[object]:
    """Return a list as it is; an empty one instead of anything else."""
    return value if isinstance(value, list) else []


def _of_command(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what `wait4` said of a command, besides its CPU time; nothing if that is not known."""
    command = mapping(evidence.get("command"))
    if number(command.get("voluntary_switches")) is None:
        return []
    return [("switches", _switches(command)), ("faults", _faults(command)), ("I/O", _io(command))]


def _of_tasks(tasks: Mapping[str, Any]) -> list[tuple[str, str]]:
    agent = tasks.get("includes_agent") is True
    own = "it is in this cgroup, and in its figures" if agent else ""
    return [*_shared(tasks), ("agent", own), ("followed", _followed(tasks)), *_missing(tasks)]


def _of_machine(machine: Mapping[str, Any]) -> list[tuple[str, str]]:
    idle = _said(
        (milliseconds, machine.get("idle_ms"), "idle"),
        (milliseconds, machine.get("iowait_ms"), "idle while I/O was awaited"),
        (milliseconds, machine.get("stolen_ms"), "stolen"),
    )
    return [*_shared(machine), ("idle", idle), *_missing(machine)]


def _shared(of: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return label and text of the figures of tasks or of the machine."""
    return [
        ("waiting", _said((milliseconds, of.get("wait_ms"), "for a CPU"))),
        (
            "CPU",
            _said(
                (milliseconds, of.get("user_ms"), "user"),
                (milliseconds, of.get("system_ms"), "system"),
                (milliseconds, of.get("irq_ms"), "interrupts"),
            ),
        ),
        ("switches", _switches(of)),
        ("faults", _faults(of)),
        ("forks", _forks(of.get("forks"))),
        ("I/O", _io(of)),
        ("disks", "; ".join(map(_disk, objects(of.get("disks"))[:FEW]))),
        ("held up", _pressure(mapping(of.get("pressure")))),
    ]


def _forks(value: object) -> str:
    return "" if number(value) is None else f"{counted(value, 'task')} began"


def _switches(of: Mapping[str, Any]) -> str:
    return _said(
        (_plain, of.get("context_switches"), "context switches"),
        (_plain, of.get("voluntary_switches"), "voluntary"),
        (_plain, of.get("involuntary_switches"), "involuntary"),
    )


def _faults(of: Mapping[str, Any]) -> str:
    return _said(
        (_plain, of.get("page_faults"), "page faults"),
        (_plain, of.get("minor_faults"), "without a disk"),
        (_plain, of.get("major_faults"), "with a disk"),
    )


def _io(of: Mapping[str, Any]) -> str:
    said = _said(
        (size, of.get("read_bytes"), "read from disks"),
        (size, of.get("written_bytes"), "written"),
        (_plain, of.get("read_calls"), "calls to read"),
        (_plain, of.get("write_calls"), "to write"),
    )
    return f"at least {said}" if said and partial(of) & OF_IO else said


def _disk(disk: Mapping[str, Any]) -> str:
    name = printable(disk.get("name") or disk.get("device"), 20)
    return f"{name} " + _said(
        (_plain, disk.get("reads"), "reads"),
        (size, disk.get("read_bytes"), ""),
        (milliseconds, disk.get("read_ms"), ""),
        (_plain, disk.get("writes"), "writes"),
        (size, disk.get("written_bytes"), ""),
        (milliseconds, disk.get("write_ms"), ""),
    )


def _pressure(pressure: Mapping[str, Any]) -> str:
    parts = []
    for name, words in PRESSURES.items():
        found = mapping(pressure.get(name))
        if number(some := found.get("some_ms")) is not None:
            full = found.get("full_ms")
            all_of = f" (all of it {milliseconds(full)})" if number(full) else ""
            parts.append(f"{milliseconds(some)} {words}{all_of}")
    return ", ".join(parts)


def _followed(tasks: Mapping[str, Any]) -> str:
    """Return how the tasks were followed."""
    gap = f"at most {milliseconds(tasks.get('longest_gap_ms'))} apart"
    looks = f"looked at {counted(tasks.get('looks'), 'time')}, {gap}"
    if number(tasks.get("processes")) is None:
        return f"waits, switches and forks at least: {looks}"
    found = counted(tasks.get("processes"), "process")
    ended = number(tasks.get("ended"))
    return f"{found}, {looks}" + (f"; {counted(ended, 'process')} ended meanwhile" if ended else "")


def _missing(of: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    lower_bounds = partial(of)
    for row in objects(of.get("missing")):
        figures = objects_of(row.get("figures"))
        names = ", ".join(printable(name, 40) for name in figures)
        label = "in part" if lower_bounds.issuperset(map(str, figures)) else "unknown"
        yield label, f"{names}: {printable(row.get('reason'), 300)}"


def _plain(value: object) -> str:
    known = number(value)
    return "" if known is None else f"{known:,.0f}"


def _said(*figures: tuple[Any, object, str]) -> str:
    """Return the figures that are known, each with what it is."""
    return ", ".join(
        f"{text(value)} {words}".rstrip()
        for text, value, words in figures
        if number(value) is not None
    )
