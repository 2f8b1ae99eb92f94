/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Syscalls by number: one increment each. A stream of them would be out of the question. */
#include "details.h"
#include "slots.h"

#if WITH_SYSCALLS
int on_sys_enter(u64 *ctx)
{
	u64 task = (u64)bpf_get_current_task_btf();
	u32 tid = LOAD32(task, TASK_PID);
	struct cpu_counters *c = counters();
	u64 number = ctx[1];

	if (rarely(!is_in_scope(slot_of(tid), tid))) {
		c->excluded_syscalls++;
		return 0;
	}
	/* Numbers beyond the table are counted too; -1 (skipped by a tracer) is no syscall. */
	if (rarely(number >= SYSCALL_OTHER)) {
		if ((s32)number == -1)
			return 0;
		number = SYSCALL_OTHER;
	}
	if (rarely(in_compat_syscall(task)))
		number = SYSCALL_COMPAT;
	c->syscalls[number & (SYSCALLS - 1)]++;
#if WITH_SYSCALL_TIMES
	syscall_entered(tid, number);
#endif
	return 0;
}
#endif

#if WITH_SYSCALL_TIMES || WITH_EXEC_FAILURES
#if WITH_EXEC_FAILURES
inline_always void count_failed_exec(u64 task, u64 regs, s64 result)
{
	u32 number = LOAD32(regs, REGS_SYSCALL);
	u32 code = -result;

	if (number != EXECVE_NUMBER && number != EXECVEAT_NUMBER)
		return;
	if (in_compat_syscall(task) || !is_error(result) || was_interrupted(result))
		return;
	details()->exec_failures[code < ERRNOS ? code & (ERRNOS - 1) : 0]++;
}
#endif

/* (regs, result). Signals are looked at later, so a call that one ended is seen to return here. */
int on_sys_exit(u64 *ctx)
{
	u64 task = (u64)bpf_get_current_task_btf();
	u32 tid = LOAD32(task, TASK_PID);
	s64 result = ctx[1];

	if (!in_scope(tid))
		return 0;
#if WITH_EXEC_FAILURES
	count_failed_exec(task, ctx[0], result);
#endif
#if WITH_SYSCALL_TIMES
	syscall_returned(tid, result);
#endif
	return 0;
}
#endif
