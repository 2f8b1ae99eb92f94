"""Figures of a run without eBPF: what the kernel adds up of a command, and what /proc counts.

They have names of their own: a total from /proc is never compared with one from events. What is
not of all processes is left out: another run may have seen others. What is a lower bound, since
tasks were only looked at now and then, says so: how much was missed differs from run to run.
"""

from collections.abc import Mapping
from typing import Any

from agent.comparison.values import mapping, rows
from agent.terminal.evidence import partial

OF_PROC = "/proc: "
TIMES = {
    "waiting for a CPU": ("wait_ms",),
    "user CPU": ("user_ms",),
    "system CPU": ("system_ms",),
    "held up for CPU": ("pressure", "cpu", "some_ms"),
    "held up for I/O": ("pressure", "io", "some_ms"),
    "held up for memory": ("pressure", "memory", "some_ms"),
}
COUNTS = {
    "context switches": ("context_switches",),
    "switches, voluntary": ("voluntary_switches",),
    "switches, others": ("involuntary_switches",),
    "page faults": ("page_faults",),
    "minor faults": ("minor_faults",),
    "major faults": ("major_faults",),
    "forks": ("forks",),
    "bytes read": ("read_bytes",),
    "bytes written": ("written_bytes",),
    "calls to read": ("read_calls",),
    "calls to write": ("write_calls",),
}
OF_COMMAND = {
    "switches, voluntary": "voluntary_switches",
    "switches, others": "involuntary_switches",
    "minor faults": "minor_faults",
    "major faults": "major_faults",
    "bytes read": "read_bytes",
    "bytes written": "written_bytes",
}
"""What `wait4` says of a command and of those descendants that were waited for: all of it."""
KNOWN_BETTER = {*OF_COMMAND, "user CPU", "system CPU"}
"""Not taken from /proc, where tasks are followed from outside, if there is a command."""


def times_of(command: Mapping[str, Any], evidence: Mapping[str, Any]) -> dict[str, object]:
    """Return times in ms by figure; None where one is not known."""
    return _of_proc(TIMES, command, evidence) | {
        f"{OF_PROC}{disk.get('name')} {words}": disk.get(name)
        for disk in rows(_subject(evidence).get("disks"))
        for words, name in {"read": "read_ms", "write": "write_ms"}.items()
    }


def counts_of(command: Mapping[str, Any], evidence: Mapping[str, Any]) -> dict[str, object]:
    """Return counts by figure, bytes among them; None where one is not known."""
    own = {words: command.get(field) for words, field in OF_COMMAND.items()}
    return own | _of_proc(COUNTS, command, evidence)


def lower_bounds(evidence: Mapping[str, Any]) -> frozenset[str]:
    """Return the figures that are of tasks as they were seen, rather than of all that they did."""
    followed = mapping(_subject(evidence).get("followed"))
    seen = {
        str(name)
        for how in ("waited_for", "last_seen")
        if isinstance(listed := followed.get(how), list)
        for name in listed
    }
    both = {**TIMES, **COUNTS}
    return frozenset(f"{OF_PROC}{words}" for words, path in both.items() if path[0] in seen)


def _of_proc(
    figures: Mapping[str, tuple[str, ...]], command: Mapping[str, Any], evidence: Mapping[str, Any]
) -> dict[str, object]:
    subject = _subject(evidence)
    wanted = [words for words in figures if not (command and words in KNOWN_BETTER)]
    incomplete = partial(subject)
    return {
        f"{OF_PROC}{words}": None if path[0] in incomplete else _at(subject, path)
        for words in wanted
        for path in [figures[words]]
    }


def _subject(evidence: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the totals of the tasks in scope, or of the machine if that is the scope."""
    found = mapping(evidence.get("procfs"))
    is_machine = mapping(evidence.get("scope")).get("kind") == "system"
    return mapping(found.get("machine" if is_machine else "tasks"))


def _at(place: Mapping[str, Any], path: tuple[str, ...]) -> object:
    *folders, last = path
    for folder in folders:
        place = mapping(place.get(folder))
    return place.get(last)
