"""What run-queue latency and off-CPU time share: both follow from switches and wakeups."""

from agent.sections.spec import ITERATOR, POINTER, Argument, Bit, Field, Program

BY_CLOCK = (("TIMING_ACCOUNTING", 0),)
BY_ACCOUNTING = (("TIMING_ACCOUNTING", 1),)

PROGRAMS = (
    Program("on_sched_switch", "sched_switch"),
    Program("on_sched_wakeup", "sched_wakeup", when=BY_CLOCK),
    Program("on_sched_wakeup", "sched_wakeup_new", when=BY_CLOCK),
    Program("on_iter_clock", f"{ITERATOR}/clock", when=BY_ACCOUNTING),
)

FIELDS = (
    # an int, and since 7.2 one byte
    Field("TASK_ON_CPU", (("task_struct", "on_cpu"),), at_least=1),
    # moved by bcf9033e5449 ("sched: move CPU field back into thread_info"), 5.16
    Field("TASK_CPU", (("task_struct", "thread_info.cpu"), ("task_struct", "cpu"))),
    # renamed by 2f064a59a11f ("sched: Change task_struct::state"), 5.14
    Field("TASK_STATE", (("task_struct", "__state"), ("task_struct", "state"))),
    Field("TASK_RUN_DELAY", (("task_struct", "sched_info.run_delay"),), at_least=8),
    Field("TASK_PCOUNT", (("task_struct", "sched_info.pcount"),)),
    Field("TASK_RUNTIME", (("task_struct", "se.sum_exec_runtime"),), at_least=8),
    # the same as the task last came to a CPU
    Field("TASK_PREV_RUNTIME", (("task_struct", "se.prev_sum_exec_runtime"),), at_least=8),
    Field("TASK_LAST_ARRIVAL", (("task_struct", "sched_info.last_arrival"),), at_least=8),
    Field("TASK_LAST_QUEUED", (("task_struct", "sched_info.last_queued"),), at_least=8),
    # a task's run queue, whose clock the scheduler times waits by; CONFIG_FAIR_GROUP_SCHED
    Field("TASK_CFS_RQ", (("task_struct", "se.cfs_rq"),), optional=True, reads=POINTER),
    Field("CFS_RQ_RQ", (("cfs_rq", "rq"),), optional=True, reads=POINTER),
    Field("RQ_CLOCK", (("rq", "clock"),), optional=True, at_least=8),
    Field("RQ_CLOCK_TASK", (("rq", "clock_task"),), optional=True, at_least=8),
    # since 6.12: asleep but still on the run queue
    Field("TASK_DELAYED", (("task_struct", "se.sched_delayed"),), optional=True, at_least=1),
    # below 0 for deadline tasks
    Field("TASK_PRIO", (("task_struct", "prio"),), optional=True),
    # since 6.6: the state that a frozen sleep returns to
    Field("TASK_SAVED_STATE", (("task_struct", "saved_state"),), optional=True),
    Field("TASK_JOBCTL", (("task_struct", "jobctl"),), optional=True),
)

BITS = (
    # a deadline task that has called sched_yield() and awaits its next period
    Bit("TASK_DL_YIELDED", "task_struct", "dl.dl_yielded"),
)

ARGUMENTS = (
    Argument("SWITCH_PREEMPT", "sched_switch", "_Bool"),
    Argument("SWITCH_PREV", "sched_switch", "task_struct", 0),
    Argument("SWITCH_NEXT", "sched_switch", "task_struct", 1),
    # since 5.18; on older kernels the state is read from the task
    Argument("SWITCH_PREV_STATE", "sched_switch", "unsigned int", 0, optional=True),
    # one program for both (sched.c)
    Argument("WAKEUP_TASK", "sched_wakeup", "task_struct"),
    Argument("WAKEUP_NEW_TASK", "sched_wakeup_new", "task_struct"),
)
