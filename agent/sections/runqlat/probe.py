"""Run-queue latency: one event per completed wait."""

from agent.sections import scheduler
from agent.sections.spec import Distribution, Probe, Stream

PROBE = Probe(
    name="runqlat",
    switch="WITH_RUNQLAT",
    programs=scheduler.PROGRAMS,
    fields=scheduler.FIELDS,
    bits=scheduler.BITS,
    arguments=scheduler.ARGUMENTS,
    streams=(
        # as often as every context switch, so few CPUs should share a table
        Stream("runqlat", words=1, folded=(Distribution("runqlat", tables=8),)),
    ),
)
