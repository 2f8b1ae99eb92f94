"""What is counted of a run in which nothing can be measured: totals from /proc."""

import logging
from collections.abc import Callable, Mapping

import trio

from agent.errors import InvalidRequest
from agent.evidence.cost import CpuMeter
from agent.procfs.following import Following
from agent.recording.run import Run

LOGGER = logging.getLogger("agent.recording.without_ebpf")


async def begin(
    run: Run, nursery: trio.Nursery, processes: Callable[[], Mapping[str, int]]
) -> None:
    """Begin to count, in a task of the nursery; ``processes``: finds those whose cost is the run's.

    Raises InvalidRequest for a scope that does not exist.
    """
    if run.failure is None or run.mock:
        return
    ours = processes()
    following = Following(run.request, left_out=frozenset(ours.values()))
    run.meter = CpuMeter(ours)
    try:
        await following.begin()
    except InvalidRequest:
        raise
    except Exception as error:
        # Whatever it is, the run goes on, and says that nothing could be counted.
        LOGGER.exception("what /proc counts of run %s could not be read", run.id)
        run.why_no_totals = f"{type(error).__name__}: {error}"
        return
    run.procfs = following
    nursery.start_soon(following.run)


async def end(run: Run) -> None:
    """End what `begin` began, if it did."""
    if run.procfs is None:
        return
    try:
        await run.procfs.end()
    except Exception as error:
        LOGGER.exception("what /proc counted of run %s could not be read", run.id)
        run.why_no_totals = f"{type(error).__name__}: {error}"
