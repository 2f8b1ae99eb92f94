"""Block I/O latency: one event per completed request."""

from agent.sections.biolatency.diskstats import disk_figures, has_disks_without_requests
from agent.sections.biolatency.layout import CONSTANTS, MAX_REQUESTS, REQUEST_SIZE
from agent.sections.spec import (
    POINTER,
    Argument,
    Detail,
    Distribution,
    Field,
    Flag,
    Probe,
    Program,
    Stream,
    Table,
)

BIOS = Detail(
    name="bios",
    switch="WITH_BIOS",
    programs=(
        Program("on_block_bio_queue", "block_bio_queue"),
        Program("on_block_bio_complete", "block_bio_complete"),
    ),
    streams=(Stream("bios", words=4, folded=(Distribution("bios", tables=1),)),),
    arguments=(
        Argument("BIO_QUEUE_BIO", "block_bio_queue", "bio"),
        Argument("BIO_COMPLETE_BIO", "block_bio_complete", "bio"),
    ),
    fields=(
        Field("BIO_OPF", (("bio", "bi_opf"),), at_least=1),
        Field("BIO_SIZE", (("bio", "bi_iter.bi_size"),)),
        Field("BIO_STATUS", (("bio", "bi_status"),), at_least=1),
        # bi_bdev took the place of bi_disk in 5.12
        Field("BIO_BDEV", (("bio", "bi_bdev"),), optional=True, reads=POINTER),
        Field("BIO_DISK", (("bio", "bi_disk"),), optional=True, reads=POINTER),
        Field("BDEV_DISK", (("block_device", "bd_disk"),), reads=POINTER),
        Field("DISK_QUEUE", (("gendisk", "queue"),), reads=POINTER),
        Field("QUEUE_MQ_OPS", (("request_queue", "mq_ops"),), reads=POINTER),
        Field("DISK_SLAVES", (("gendisk", "slave_dir"),), optional=True, reads=POINTER),
        Field("KOBJECT_NODE", (("kobject", "sd"),), optional=True, reads=POINTER),
        Field(
            "KERNFS_NODE_CHILDREN",
            (("kernfs_node", "dir.children.rb_node"),),
            optional=True,
            reads=POINTER,
        ),
    ),
    one_of=(("BIO_BDEV", "BIO_DISK"),),
    is_needed=has_disks_without_requests,
)

PROBE = Probe(
    name="biolatency",
    switch="WITH_BIOLATENCY",
    # detached in reverse order: no completion is seen of a request whose issue went by unseen
    programs=(
        Program("on_block_rq_issue", "block_rq_issue"),
        Program("on_block_rq_requeue", "block_rq_requeue"),
        Program("on_block_rq_complete", "block_rq_complete"),
        Program("on_block_io_start", "block_io_start", when=(("SCOPED", 1),), optional=True),
    ),
    sources=("biolatency/block.c", "biolatency/bios.c"),
    fields=(
        Field("REQUEST_DATA_LEN", (("request", "__data_len"),)),
        Field("REQUEST_CMD_FLAGS", (("request", "cmd_flags"),), at_least=1),
        Field("REQUEST_RQ_FLAGS", (("request", "rq_flags"),)),
        Field("REQUEST_START_TIME", (("request", "start_time_ns"),), at_least=8),
        # the request itself points to the disk before 5.17 (f3fa33acca9f, "block: remove
        # ->rq_disk"), and its queue since 5.14 (d152c682f03c, "block: add an explicit ->disk")
        Field("REQUEST_DISK", (("request", "rq_disk"),), optional=True, reads=POINTER),
        Field("REQUEST_QUEUE", (("request", "q"),), optional=True, reads=POINTER),
        Field("QUEUE_DISK", (("request_queue", "disk"),), optional=True, reads=POINTER),
        Field("DISK_MAJOR", (("gendisk", "major"),)),
        Field("DISK_FIRST_MINOR", (("gendisk", "first_minor"),)),
    ),
    one_of=(("QUEUE_DISK", "REQUEST_DISK"), ("REQUEST_QUEUE", "REQUEST_DISK")),
    # by type: before 5.11 some of them began with the queue, and distributions' kernels differ
    arguments=(
        Argument("BLOCK_START_REQUEST", "block_io_start", "request", optional=True),
        Argument("BLOCK_ISSUE_REQUEST", "block_rq_issue", "request"),
        Argument("BLOCK_REQUEUE_REQUEST", "block_rq_requeue", "request"),
        Argument("BLOCK_COMPLETE_REQUEST", "block_rq_complete", "request"),
        # the error: a blk_status_t (u8), on older kernels an errno
        Argument("BLOCK_COMPLETE_STATUS", "block_rq_complete", "unsigned char", optional=True),
        Argument("BLOCK_COMPLETE_ERRNO", "block_rq_complete", "int", optional=True),
        Argument("BLOCK_COMPLETE_BYTES", "block_rq_complete", "unsigned int"),
    ),
    # an enum since 6.11; macros before
    flags=(
        Flag("RQF_FLUSH_SEQ", "__RQF_FLUSH_SEQ", before=4),
        Flag("RQF_IO_STAT", "__RQF_IO_STAT", before=13),
    ),
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
    details=(BIOS,),
    constants=CONSTANTS,
    kernel_counts=disk_figures,
    counts_at_once=True,
)
