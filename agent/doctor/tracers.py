"""Who else traces: each tracer slows down what is measured, and is measured with it.

BPF links and perf events are found in the descriptors of their processes; what is pinned in a BPF
file system and held by no process is not.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from agent.doctor.finding import Finding, ok, unknown, warning
from agent.doctor.visible import OF_THE_KERNEL, why_not_every_process, why_not_sys
from agent.streams.shared.foreign_names import as_text, lines
from agent.terminal.values import printable
from agent.words import in_words

PROC = Path("/proc")
TRACEFS = Path("/sys/kernel/tracing")

PERF_EVENT, LINK = "anon_inode:[perf_event]", "anon_inode:bpf_link"
NO_TRACING = ("cgroup", "xdp", "netns", "netfilter", "tcx", "netkit", "struct_ops", "iter")
"""Types of links (``link_type`` in their fdinfo) that trace nothing."""
OUR_OWN = ("cba-agent", "cba-supervisor", "chainbench-agen")
"""Names of an agent's processes. Between runs they have perf buffers, but no links."""
DURING_A_RUN = " (if that is an agent, wait for the end of its run instead)"
MOST_NAMED = 10


def tracers() -> Iterator[Finding]:
    """Look for other programs that trace this machine now."""
    found = sorted({said for process in _processes() for said in _of_process(process)})
    if found:
        more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        said = "; ".join(found[:MOST_NAMED])
        yield warning("other_tracers", f"{said}{more}: end them before a benchmark")
    elif why := why_not_every_process():
        yield unknown("other_tracers", f"none is visible, but {why}")
    else:
        yield ok("other_tracers", "no other process has a BPF link or a perf event, none is traced")
    yield _ftrace()


def _processes() -> list[Path]:
    return [path for path in PROC.iterdir() if path.name.isdecimal()]


def _of_process(process: Path) -> Iterator[str]:
    """Yield what a process traces with, and by whom it is traced itself."""
    name = as_text("".join(lines(process / "comm")))
    who = f"{printable(name, 40)} (pid {process.name})"
    if any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in _status(process)):
        yield f"{who} is traced by another process (ptrace)"
    kinds, own = _kinds(process), name in OUR_OWN
    if "link" in kinds:
        yield f"{who} has attached BPF programs{DURING_A_RUN if own else ''}"
    if "perf_event" in kinds and not own:
        yield f"{who} has perf events"


def _status(process: Path) -> list[str]:
    return lines(process / "status")


def _kinds(process: Path) -> set[str]:
    kinds = set()
    with contextlib.suppress(OSError):  # gone, or another user's
        for fd in os.listdir(process / "fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(process / "fd" / fd)
                if target == PERF_EVENT:
                    kinds.add("perf_event")
                elif target == LINK and _traces(process / "fdinfo" / fd):
                    kinds.add("link")
    return kinds


def _traces(fdinfo: Path) -> bool:
    kinds = [line.split(":")[1].strip() for line in lines(fdinfo) if line.startswith("link_type:")]
    return not set(kinds) <= set(NO_TRACING)


def _ftrace() -> Finding:
    try:
        tracer = (TRACEFS / "current_tracer").read_text(errors="replace").strip()
        events = (TRACEFS / "events/enable").read_text(errors="replace").strip()
    except OSError as error:
        return unknown("ftrace", why_not_sys(OF_THE_KERNEL) or _why_not_tracefs(error))
    if tracer != "nop":
        cure = f"echo nop > {TRACEFS / 'current_tracer'}"
        return warning("ftrace", f"the tracer {printable(tracer)} is on: {cure}")
    if events != "0":
        return warning("ftrace", f"events are on: echo 0 > {TRACEFS / 'events/enable'}")
    return ok("ftrace", "off")


def _why_not_tracefs(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"tracefs is not mounted (mount -t tracefs tracefs {TRACEFS})"
    return in_words(error)
