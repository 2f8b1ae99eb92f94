"""What a run that has ended comes to: its verdict, its totals and its last figures."""

from agent.aggregate.totals import RunTotals
from agent.evidence.verdict import Findings, Verdict, judge, unavailable
from agent.recording import wall
from agent.recording.internal_totals import InternalTotals
from agent.recording.run import Run
from agent.streams.collect.observed import Stopped


def conclude(
    run: Run, stopped: Stopped | None, internal: InternalTotals
) -> tuple[Verdict, RunTotals]:
    """Note the run's checks, wall time and figures in it; return its verdict and its totals.

    ``stopped``: None for a run without eBPF, which has a failure instead. ``internal`` gets the
    final counts.
    """
    run.figures = {}
    if stopped is None:
        assert run.failure is not None
        verdict = unavailable(run.failure.code, run.failure.message)
        return verdict, {}
    run.collection.take_summaries(stopped.summaries)
    verdict = _judge(run, stopped)
    internal.finish(stopped.observed, run.collection)
    totals = run.collection.totals(stopped.observed, run.sections)
    run.figures = {**run.collection.last_run(run.sections), **run.last_wall}
    return verdict, {**totals, **run.wall_totals}


def _judge(run: Run, stopped: Stopped) -> Verdict:
    assert run.arming is not None
    run.collection.accounts.by_accounting = run.arming.timing == "accounting"
    run.checks = run.collection.checks(stopped.edges, run.sections)
    wall.conclude(run, stopped)
    return judge(
        Findings(
            streams=run.collection.streams(stopped, run.sections),
            edges=stopped.edges,
            checks=run.checks,
            unseen_switches=run.collection.accounts.unseen,
            faults=stopped.faults,
            gaps=(*run.arming.gaps, *stopped.gaps),
            missing_sections=run.arming.unavailable,
            programs=stopped.programs,
            overflow=run.collection.overflow(),
            lost_by_folding=run.collection.lost_by_folding(),
        )
    )
