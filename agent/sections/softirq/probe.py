"""Softirqs: one event per completed softirq. Measured only when requested by name."""

from agent.sections.softirq.layout import CONSTANTS, SOFTIRQ_STATE_SIZE
from agent.sections.softirq.proc_softirqs import softirqs_run
from agent.sections.spec import Argument, Probe, Program, Stream, Table

PROBE = Probe(
    name="softirq",
    switch="WITH_SOFTIRQ",
    programs=(
        # in this order: softirq.c says why
        Program("on_softirq_entry", "softirq_entry"),
        Program("on_softirq_exit", "softirq_exit"),
    ),
    sources=("softirq/softirq.c",),
    arguments=(
        Argument("SOFTIRQ_ENTRY_VECTOR", "softirq_entry", "unsigned int"),
        Argument("SOFTIRQ_EXIT_VECTOR", "softirq_exit", "unsigned int"),
    ),
    streams=(Stream("softirq", words=1),),
    tables=(Table("softirqs", lambda sizes: sizes.cpus * SOFTIRQ_STATE_SIZE),),
    constants=CONSTANTS,
    on_request=True,
    kernel_counts=softirqs_run,
)
