/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Syscalls by number: one increment each. A stream of them would be out of the question. */
#include "kernel.h"

#if WITH_SYSCALLS
int on_sys_enter(u64 *ctx)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();
	struct cpu_counters *c = counters();
	u64 number = ctx[1];

	if (!in_scope(tid)) {
		c->excluded_syscalls++;
		return 0;
	}
#ifdef REGS_CS
	if (LOAD16(ctx[0], REGS_CS) == USER32_CS) {
		c->syscalls[SYSCALL_COMPAT]++;
		return 0;
	}
#endif
	/* Numbers beyond the table are counted too; -1 (skipped by a tracer) is no syscall. */
	if (number >= SYSCALL_OTHER) {
		if ((s32)number == -1)
			return 0;
		number = SYSCALL_OTHER;
	}
	c->syscalls[number & (SYSCALLS - 1)]++;
	return 0;
}
#endif
