"""Run-queue latency: one event per completed wait."""

from agent.sections import scheduler
from agent.sections.spec import Probe, Stream

PROBE = Probe(
    name="runqlat",
    switch="WITH_RUNQLAT",
    programs=scheduler.PROGRAMS,
    fields=scheduler.FIELDS,
    bits=scheduler.BITS,
    arguments=scheduler.ARGUMENTS,
    streams=(Stream("runqlat", words=1),),
)
