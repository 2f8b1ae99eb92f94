/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Why a task blocks: the syscall that it is in, read from the registers it saved on entering the
 * kernel. That costs a few loads, is right for tasks that blocked before the run began, and cannot
 * go stale as a number remembered at sys_enter could.
 */
#pragma once
#include "kernel.h"

inline_always bool is_blocked(u32 tag)
{
	u32 state = tag & SLOT_STATE;

	return state == SLOT_INTERRUPTIBLE || state == SLOT_UNINTERRUPTIBLE;
}

inline_always u32 blocked_reason(u64 task)
{
	u32 flags = LOAD32(task, TASK_FLAGS);

	if (rarely(flags & PF_KTHREAD))
		return REASON_KERNEL_THREAD;
	if (rarely(flags & PF_IO_WORKER))
		return REASON_IO_WORKER;
#ifdef HAVE_TASK_PT_REGS
	s32 syscall = LOAD32(saved_registers(task), REGS_SYSCALL);

	if (rarely(syscall < 0))
		return REASON_PAGE_FAULT;
	if (rarely(in_compat_syscall(task)))
		return REASON_COMPAT;
	return syscall < SYSCALLS ? syscall : REASON_UNKNOWN;
#else
	return REASON_UNKNOWN;
#endif
}

/* The tag of a task that leaves the CPU in this state. Exiting and stopped tasks do not block. */
inline_always u32 blocked_tag(u64 task, u32 state)
{
	u32 blocked;

	if (rarely(state & (TASK_GONE | TASK_STOPPED_OR_TRACED)))
		return SLOT_STOPPED;
	blocked = state & TASK_INTERRUPTIBLE ? SLOT_INTERRUPTIBLE : SLOT_UNINTERRUPTIBLE;
	return blocked | blocked_reason(task) << SLOT_REASON_SHIFT;
}
