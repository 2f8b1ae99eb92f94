/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Syscalls by number: one increment per call. They are too frequent to be streamed. */
#include "sections/exec/failures.h"
#include "sections/syscall_counts/times.h"
#include "slots.h"

#if WITH_SYSCALLS
/* Whether the current task is out of scope. Sets `tid`, unless the scope is cached. */
inline_always bool is_out_of_scope(const struct cpu_counters *c, u32 *tid)
{
	if (CACHES_CURRENT_SCOPE && !rarely(c->current_scope == CURRENT_SCOPE_UNKNOWN))
		return c->current_scope == CURRENT_OUT_OF_SCOPE;
	*tid = OF_CURRENT(current_task(), TASK_PID);
	return !in_scope_by_slot(slot_of(*tid), *tid);
}

inline_always bool is_compat_call(u64 regs)
{
#ifdef REGS_CX
	/* x86: SYSCALL leaves its return address in rcx; the 32-bit entries do not. */
	if (!rarely(LOAD(regs, REGS_CX) != LOAD(regs, REGS_IP)))
		return false;
#endif
	return current_in_compat_syscall();
}

int on_sys_enter(u64 *ctx)
{
	struct cpu_counters *c = counters();
	u64 number = ctx[SYS_ENTER_NUMBER];
	u32 tid = 0;

	if (rarely(is_out_of_scope(c, &tid)))
		return 0;
	/* Numbers beyond the table are counted as one; -1 (skipped by a tracer) is not a syscall. */
	if (rarely(number >= SYSCALL_OTHER)) {
		if ((s32)number == -1)
			return 0;
		number = SYSCALL_OTHER;
	}
	if (rarely(is_compat_call(ctx[SYS_ENTER_REGS])))
		number = SYSCALL_COMPAT;
	c->syscalls[masked(number, SYSCALLS - 1)]++;
#if WITH_EXEC_RETURNS
	if (rarely(is_exec(number)))
		await_exec((u64)bpf_get_current_task_btf());
#endif
#if WITH_SYSCALL_TIMES
	syscall_entered(tid, number);
#endif
	return 0;
}
#endif

#if WITH_EXEC_RETURNS
/* Called by the kernel, preemptible, just before the awaited task returns to user space. */
int on_exec_returned(void *map)
{
	u64 regs = (u64)bpf_task_pt_regs((void *)bpf_get_current_task_btf());

	count_failed_exec(LOAD(regs, REGS_RESULT));
	return 0;
}
#endif

#if WITH_SYSCALL_TIMES || EXECS_BY_SYS_EXIT
/* Signals are handled later, so an interrupted call returns here, too. */
int on_sys_exit(u64 *ctx)
{
	u64 registers = ctx[SYS_EXIT_REGS];
	u32 tid = OF_CURRENT(current_task(), TASK_PID);
	s64 result = ctx[SYS_EXIT_RESULT];

	if (!in_scope(tid))
		return 0;
#if EXECS_BY_SYS_EXIT
	if (is_exec(LOAD_LOW32(registers, REGS_SYSCALL)) && !current_in_compat_syscall())
		count_failed_exec(result);
#endif
#if WITH_SYSCALL_TIMES
	syscall_returned(tid, LOAD_LOW32(registers, REGS_SYSCALL), result);
#endif
	return 0;
}
#endif
