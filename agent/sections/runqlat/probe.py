"""Run-queue latency: one event for each wait that ended."""

from agent.sections import scheduler
from agent.sections.spec import Probe, Stream

PROBE = Probe(
    name="runqlat",
    switch="WITH_RUNQLAT",
    programs=scheduler.PROGRAMS,
    fields=scheduler.FIELDS,
    arguments=scheduler.ARGUMENTS,
    streams=(Stream("runqlat", words=1),),
)
