"""A run's evidence document: the sections, and everything that says how far to trust them."""

from datetime import datetime, timedelta

from agent.aggregate.series import UNAVAILABLE, LastRun
from agent.evidence import held_back
from agent.evidence.manifest import manifest
from agent.evidence.verdict import Reason, Verdict
from agent.model import EVIDENCE_SCHEMA
from agent.recording import wall
from agent.recording.run import Run
from agent.streams.collect.observed import Stopped
from agent.words import INVALID, Json

UNFINISHED = "the run had not ended when this was written"


def started(run: Run) -> Json:
    """Return the answer to ``/start``."""
    answer: Json = {"status": "started", "run_id": run.id, "available": run.failure is None}
    answer |= _mark(run)
    if run.failure is not None:
        answer |= {"code": run.failure.code, "reason": run.failure.message}
    if run.procfs is not None:
        answer["scope"] = dict(run.procfs.scope)
    if run.arming is not None:
        answer |= {"armed": run.sections, "unavailable": dict(run.arming.unavailable)}
        answer["scope"] = dict(run.arming.scope)
    return answer


def last_run(run: Run, verdict: Verdict) -> LastRun:
    """Return what ``/metrics`` shows of a run that has ended, given its evidence."""
    ended_at = _later(run.started_at, run.elapsed_ns() if run.ended_ns is None else run.ended_ns)
    known = verdict.verdict if run.evidence["available"] else UNAVAILABLE
    return LastRun(ended_at.timestamp(), known, run.figures)


def moment(time: datetime) -> str:
    """Return a time as evidence and answers give it: ISO 8601, in milliseconds."""
    return time.isoformat(timespec="milliseconds")


def unfinished(run: Run, so_far: Stopped | None) -> Json:
    """Return what there is of a run in progress, as evidence; None: nothing has been read yet."""
    streams = so_far.observed.streams if so_far is not None else {}
    built = build(run, so_far, Verdict((Reason("unfinished", UNFINISHED, INVALID),), streams))
    del built["ended_by"]
    if so_far is None:
        built.setdefault("reason", f"{UNFINISHED}, and nothing had been read yet")
    else:
        built["wall"] = wall.unfinished(run, UNFINISHED)
    return built


def build(run: Run, stopped: Stopped | None, verdict: Verdict) -> Json:
    """Return the evidence in the contract's format."""
    elapsed_ns = run.elapsed_ns()
    duration_ns = elapsed_ns
    if stopped is not None and run.arming is not None:
        # by the kernel's clock, which in a time namespace is not one that this process can read
        duration_ns = stopped.stop_ns - run.arming.start_ns
    built: Json = {
        "available": stopped is not None,
        "schema": EVIDENCE_SCHEMA,
        **_mark(run),
        "run_id": run.id,
        "labels": run.label_set._asdict(),
        "started_at": moment(run.started_at),
        "stopped_at": moment(_later(run.started_at, elapsed_ns)),
        "ended_by": run.ended_by,
        "duration_s": duration_ns / 1e9,
    }
    if run.failure is not None:
        built |= {"code": run.failure.code, "reason": run.failure.message}
    if run.procfs is not None:
        built["scope"] = dict(run.procfs.scope)
        if run.procfs.evidence:
            built["procfs"] = run.procfs.evidence
    if run.why_no_totals:
        built["procfs"] = {"no_totals": run.why_no_totals}
    if stopped is not None and run.arming is not None:
        built |= _measured(run)
        built["wall"] = run.wall
        built["cpu_quota"] = held_back.quota(stopped.throttling)
        built["stolen_ms"] = held_back.stolen_ms(stopped.edges)
        built |= run.collection.evidence(stopped, run.sections)
        if run.arming.unavailable:
            built["unavailable"] = dict(run.arming.unavailable)
        built["timeline"] = _timeline(run, stopped)
        built["scope"] = {**run.arming.scope, **stopped.scope}
    return built | {
        "manifest": manifest(run.arming),
        "completeness": verdict.evidence()
        | {"refused_records": stopped.refused_records if stopped else None}
        | _uncounted_calls(stopped),
        "checks": [check.evidence() for check in run.checks],
        "overhead": _overhead(run, stopped, duration_ns),
    }


def _mark(run: Run) -> Json:
    return {"mock": True} if run.mock else {}


def _measured(run: Run) -> Json:
    """Return from when to when everything was attached; a start may compile for seconds first."""
    times = {"measured_from": run.attached_ns, "measured_to": run.ended_ns}
    return {
        name: moment(_later(run.started_at, ns)) for name, ns in times.items() if ns is not None
    }


def _timeline(run: Run, stopped: Stopped) -> Json:
    assert run.attached_ns is not None
    ended_ns = run.elapsed_ns() if run.ended_ns is None else run.ended_ns
    at_ns = ended_ns - run.attached_ns
    return run.collection.timeline_until(at_ns, stopped.observed, run.sections)


def _later(moment: datetime, ns: int) -> datetime:
    return moment + timedelta(microseconds=ns / 1e3)


def _uncounted_calls(stopped: Stopped | None) -> Json:
    """Return how many tasks may have done what no syscall count shows; None if not known."""
    names = ("seccomp_tasks", "io_uring_tasks")
    return {name: stopped.observed.counters[name] if stopped else None for name in names}


def _overhead(run: Run, stopped: Stopped | None, duration_ns: int) -> Json:
    rows = run.meter.rows()
    known = [row["cpu_ms"] for row in rows if row["cpu_ms"] is not None]
    cost: Json = {
        "wall_ms": duration_ns / 1e6,
        "agent_cpu_ms": round(sum(known), 3) if known else None,
        "processes": rows,
        "longest_stall_ms": round(run.stalls.longest_s * 1000, 3),
    }
    if stopped is not None:
        observed = stopped.observed
        cost |= {
            "events": sum(counts.received for counts in observed.streams.values()),
            "events_by_stream": {n: c.received for n, c in observed.streams.items()},
            "drains": observed.drains,
            "drain_ms": round(observed.drain_seconds * 1000, 3),
            "longest_drain_gap_ms": round(observed.longest_drain_gap_s * 1000, 3),
            "map_bytes": run.arming.map_bytes if run.arming else 0,
            "programs": list(stopped.programs),
        }
    return cost
