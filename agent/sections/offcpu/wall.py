"""Where the wall time of a scoped run went: the object ``wall`` of its evidence, and its checks."""

from collections.abc import Iterator

from agent.evidence.checks import Check
from agent.sections.fold import milliseconds
from agent.sections.offcpu.reasons import reason_name
from agent.sections.offcpu.wall_tables import WallTime
from agent.words import Json

TOP = 20
UNSEEN_BOUND, UNSEEN_SLACK_NS = 0.01, 1_000_000

OF_THE_WHOLE_MACHINE = "a run of the whole machine has none: some task of it computes at any moment"
SWITCHED_OFF = 'the run was started with "wall": false'
WITHOUT_OFFCPU = "it needs the section offcpu, which was not measured"
NOT_ENDED = "its end was not noted: the supervisor was lost, or could not note it"


def lacking(scoped: bool, wanted: bool, armed: bool, no_wall: str) -> str:
    """Return why a run has no wall time, in words; empty if it should have it.

    ``armed``: whether ``offcpu`` is; ``no_wall``: what the kernel side has against it.
    """
    if not scoped:
        return OF_THE_WHOLE_MACHINE
    if not wanted:
        return SWITCHED_OFF
    return no_wall if armed else WITHOUT_OFFCPU


def evidence(
    wall: WallTime | None,
    reason: str = "",
    throttled_ns: int | None = None,
    waking: bool = False,
) -> Json:
    """Return the object ``wall``. ``reason``: why there is none.

    ``throttled_ns``: for how long groups with a CPU quota were throttled, summed over CPUs; None if
    that is not known. ``waking``: whether wake-ups on their way were measured.
    """
    if wall is None:
        return {"available": False, "reason": reason or NOT_ENDED}
    computing = wall.by_state["computing"]
    waiting = wall.by_state["waiting_for_cpu"]
    shown, cpus_of = wall.blocked[:TOP], wall.cpus_of[:TOP]
    # below 0 where a wait ended earlier, unseen, which its row does not know
    other = waiting - wall.idle - sum(of.ns for of in cpus_of)
    return {
        "available": True,
        "wall_ms": milliseconds(wall.lasted),
        "began": "exec" if wall.execed else "start",
        "ended": "exit" if wall.exited else "stop",
        "before_ms": milliseconds(wall.before),
        "after_ms": milliseconds(wall.after),
        "states": {
            name: {"ms": milliseconds(ns), "share": _ratio(ns, wall.lasted)}
            for name, ns in wall.by_state.items()
        },
        "cpu_ms": milliseconds(wall.cpu),
        "at_once": _ratio(wall.cpu, computing),
        "for_idle_cpu_ms": milliseconds(wall.idle),
        "for_busy_cpu_ms": milliseconds(waiting - wall.idle),
        "for_busy_cpu_of": [
            {"command": of.command, "ms": milliseconds(of.ns), "count": of.count} for of in cpus_of
        ],
        "for_busy_cpu_other_ms": milliseconds(max(other, 0)),
        "for_busy_cpu_excess_ms": milliseconds(max(-other, 0)),
        "waking_ms": milliseconds(wall.counts["waking_ns"]) if waking else None,
        "throttled_ms": None if throttled_ns is None else milliseconds(min(throttled_ns, waiting)),
        "blocked_until": [
            {
                "reason": reason_name(until.reason),
                "command": until.command,
                "ms": milliseconds(until.ns),
                "count": until.count,
            }
            for until in shown
        ],
        "blocked_other_ms": milliseconds(
            wall.by_state["blocked"] - sum(until.ns for until in shown)
        ),
        "changes": wall.counts["adds"],
        "unseen": wall.counts["unseen"],
        "unseen_ms": milliseconds(wall.unseen),
    }


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def checks(wall: WallTime, contradicted: int | None) -> Iterator[Check]:
    """Compare the wall time with the clock, and its tasks with themselves and with the kernel's."""
    consequence = "The states of wall are not to be relied on"
    yield Check(
        "wall_sum",
        "ns",
        ours=sum(wall.by_state.values()),
        kernel=wall.lasted,
        bound=0,
        slack=0,
        standard="the clock, from the beginning to the end",
        consequence=consequence,
    )
    apart = sum(abs(a - b) for a, b in zip(wall.tasks, wall.units, strict=True))
    tasks = sum(wall.units)
    yield Check(
        "wall_tasks",
        "tasks",
        ours=tasks - apart - wall.counts["displaced"],
        kernel=tasks,
        bound=0,
        slack=0,
        standard="what each task was last seen to do",
        consequence=consequence,
    )
    if contradicted is not None:
        yield Check(
            "wall_states",
            "tasks",
            ours=tasks - contradicted,
            kernel=tasks,
            bound=0,
            slack=0,
            consequence="Some tasks did something else at the stop than wall has them do. "
            + consequence,
        )
    yield Check(
        "wall_unseen",
        "ns",
        ours=wall.lasted - wall.unseen - wall.by_state["unknown"],
        kernel=wall.lasted,
        bound=UNSEEN_BOUND,
        slack=UNSEEN_SLACK_NS,
        standard="the clock",
        consequence="For the rest, changes of tasks went unseen: take the states of wall as "
        "uncertain by that much",
    )
