/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Floors: raw tracepoints that do nothing (CLOCK 0), or that read the clock wherever timing by the
 * clock must (CLOCK 1). RUNQUEUE: the three events of any run-queue latency probe. SYSCALLS: the
 * event for counting syscalls. BLOCK: the events of block I/O. TASKS: forks, execs and exits.
 */
#if CLOCK
#define READ_THE_CLOCK bpf_ktime_get_ns()
#else
#define READ_THE_CLOCK (void)0
#endif

#define NOTHING(event)              \
	RAW_TRACEPOINT_PROBE(event) \
	{                           \
		return 0;           \
	}

#define TIMED(event)                \
	RAW_TRACEPOINT_PROBE(event) \
	{                           \
		READ_THE_CLOCK;     \
		return 0;           \
	}

#if RUNQUEUE
TIMED(sched_switch)
TIMED(sched_wakeup)
TIMED(sched_wakeup_new)
#endif

#if SYSCALLS
NOTHING(sys_enter)
#endif

#if BLOCK
TIMED(block_rq_issue)
TIMED(block_rq_complete)
#endif

#if TASKS
TIMED(task_newtask)
NOTHING(sched_process_exec)
NOTHING(sched_process_exit)
#endif
