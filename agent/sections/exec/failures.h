/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Failed execs, by errno. Only the syscall's result shows a failure, but a program on sys_exit
 * slows down every syscall on the machine, so it is attached only on request and on kernels before
 * 6.18. Since then a program can schedule a callback that runs as the task returns to user space:
 * the attempt's sys_enter does so, and no other syscall pays for it.
 */
#pragma once
#include "results.h"

#define EXECS_BY_SYS_EXIT (WITH_EXEC_FAILURES && !WITH_EXEC_RETURNS)

inline_always bool is_exec(u64 number)
{
#if defined(EXECVE_NUMBER) && defined(EXECVEAT_NUMBER)
	return number == EXECVE_NUMBER || number == EXECVEAT_NUMBER;
#else
	return false;
#endif
}

#if WITH_EXEC_RETURNS || EXECS_BY_SYS_EXIT
inline_always void count_failed_exec(s64 result)
{
	u32 code = -result;

	if (!is_error(result) || may_restart(result))
		return;
	code = code < ERRNOS ? code : 0;
	__sync_fetch_and_add(&counters()->exec_failures[masked(code, ERRNOS - 1)], 1);
}
#endif

/* An exec that never entered the kernel; with a program on sys_exit its failure counts there. */
inline_always void exec_refused(s64 result)
{
	counters()->execs_refused++;
#if WITH_EXEC_RETURNS
	count_failed_exec(result);
#endif
}

#if WITH_EXEC_RETURNS
/* A task whose exec is awaited; the kernel keeps its scheduled work in `work`. */
struct awaited {
	u64 unused;
	u64 work;
};

/* linking.py appends on_exec_returned() to the caller and puts its address here. */
#define schedule_on_return(task, work, map) \
	(((long (*)(u64, void *, void *, u64, u64))MARK_SCHEDULE)( \
		task, work, map, bpf_pseudo_fd(4, 0), 0))

inline_always void await_exec(u64 task)
{
	u32 place = LOAD(task, TASK_PID) & AWAITED_MASK;
	struct awaited *awaited = bpf_map_lookup_elem_(bpf_pseudo_fd(1, AWAITED_FD), &place);

	if (!awaited || schedule_on_return(task, &awaited->work, MAP(AWAITED_FD)) != 0)
		counters()->execs_not_awaited++;
}
#endif
