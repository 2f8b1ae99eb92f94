"""Where a run's wall time went, or why that is not known."""

from agent.recording.run import Run
from agent.sections.offcpu import wall
from agent.sections.offcpu.evidence import OffcpuFold
from agent.sections.offcpu.metrics import last_wall, wall_totals
from agent.sections.offcpu.probe import WAKING, WALL
from agent.sections.offcpu.wall_tables import wall_of
from agent.streams.collect.observed import Stopped
from agent.words import Json


def conclude(run: Run, stopped: Stopped) -> None:
    """Note the run's wall time in its evidence, and check it. Call after the other checks."""
    assert run.arming is not None
    reason = _lacking(run)
    if reason or WALL.name not in run.arming.details:
        run.wall = wall.evidence(None, reason)
        return
    found = wall_of(stopped, run.arming.start_ns)
    run.wall = wall.evidence(
        found,
        throttled_ns=stopped.throttling.ns,
        waking=WAKING.name in run.arming.details,
    )
    if found is not None:
        fold = run.collection.folds["offcpu"]
        assert isinstance(fold, OffcpuFold)
        fold.threads.take(stopped.reports)
        streams = stopped.observed.streams
        lost = streams["threads"].lost if "threads" in streams else 0
        run.wall |= fold.threads.evidence(lost, found.counts["left"])
        run.wall_totals = wall_totals(found.by_state)
        run.last_wall = last_wall(found.by_state)
        run.checks += wall.checks(found, stopped.wall_contradicted)


def unfinished(run: Run, why: str) -> Json:
    """Return the object ``wall`` of a run that has not ended.

    ``why``: the reason, unless it will have none at its end either.
    """
    return wall.evidence(None, _lacking(run) or why)


def _lacking(run: Run) -> str:
    assert run.arming is not None
    return wall.lacking(run.scoped, run.request.wall, "offcpu" in run.sections, run.arming.no_wall)
