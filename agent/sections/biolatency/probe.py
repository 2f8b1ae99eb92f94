"""Block I/O latency: one event per completed request."""

from agent.sections.biolatency.diskstats import completed_requests
from agent.sections.biolatency.layout import CONSTANTS, MAX_REQUESTS, REQUEST_SIZE
from agent.sections.spec import Argument, Distribution, Field, Probe, Program, Stream, Table

PROBE = Probe(
    name="biolatency",
    switch="WITH_BIOLATENCY",
    programs=(
        Program("on_block_rq_issue", "block_rq_issue"),
        Program("on_block_rq_requeue", "block_rq_requeue"),
        Program("on_block_rq_complete", "block_rq_complete"),
        Program("on_block_io_start", "block_io_start", when=(("SCOPED", 1),), optional=True),
    ),
    sources=("biolatency/block.c",),
    fields=(
        Field("REQUEST_DATA_LEN", (("request", "__data_len"),)),
        Field("REQUEST_CMD_FLAGS", (("request", "cmd_flags"),)),
        Field("REQUEST_START_TIME", (("request", "start_time_ns"),)),
        Field("REQUEST_QUEUE", (("request", "q"),)),
        Field("QUEUE_DISK", (("request_queue", "disk"),)),
        Field("DISK_MAJOR", (("gendisk", "major"),)),
        Field("DISK_FIRST_MINOR", (("gendisk", "first_minor"),)),
    ),
    # before 5.11 the arguments were (queue, request)
    arguments=(Argument("BLOCK_ISSUE_REQUEST", "block_rq_issue", "request"),),
    streams=(
        Stream(
            "biolatency",
            words=4,
            # rare enough for one table each
            folded=(
                Distribution("block_device", tables=1),
                Distribution("block_with_queue", tables=1),
            ),
        ),
    ),
    tables=(Table("requests", lambda sizes: MAX_REQUESTS * REQUEST_SIZE),),
    constants=CONSTANTS,
    kernel_counts=completed_requests,
)
