/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The floor of any run-queue latency probe: raw tracepoints on the same three events that do
 * nothing (CLOCK 0), or read the clock as each has to (CLOCK 1); and that of counting syscalls
 * (SYSCALLS 1).
 */
#if SYSCALLS
RAW_TRACEPOINT_PROBE(sys_enter)
{
	return 0;
}
#else
#if CLOCK
#define BODY bpf_ktime_get_ns()
#else
#define BODY (void)0
#endif

RAW_TRACEPOINT_PROBE(sched_switch)
{
	BODY;
	return 0;
}

RAW_TRACEPOINT_PROBE(sched_wakeup)
{
	BODY;
	return 0;
}

RAW_TRACEPOINT_PROBE(sched_wakeup_new)
{
	BODY;
	return 0;
}
#endif
