/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Blocked time by state and reason. The reason is the syscall the task is in, read from the
 * registers it saved on entering the kernel: that costs a few loads, is right for tasks that
 * blocked before the run began, and cannot go stale as a number remembered at sys_enter does.
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

	if (flags & PF_KTHREAD)
		return REASON_KERNEL_THREAD;
	if (flags & PF_IO_WORKER)
		return REASON_IO_WORKER;
#ifdef HAVE_TASK_PT_REGS
	u64 regs = (u64)bpf_task_pt_regs((void *)task);
	s32 syscall = LOAD32(regs, REGS_SYSCALL);

	if (syscall < 0)
		return REASON_PAGE_FAULT;
#ifdef REGS_CS
	if (LOAD16(regs, REGS_CS) == USER32_CS)
		return REASON_COMPAT;
#endif
	return syscall < SYSCALLS ? syscall : REASON_UNKNOWN;
#else
	return REASON_UNKNOWN;
#endif
}

/* What a task that is not runnable is doing; a task that exits or is stopped does not block. */
inline_always u32 blocked_tag(u64 task, u32 state)
{
	u32 blocked;

	if (state & (TASK_GONE | TASK_STOPPED_OR_TRACED))
		return SLOT_RUNNING;
	blocked = state & TASK_INTERRUPTIBLE ? SLOT_INTERRUPTIBLE : SLOT_UNINTERRUPTIBLE;
	return blocked | blocked_reason(task) << SLOT_REASON_SHIFT;
}

inline_always void close_blocked(struct task_slot *slot, u32 tag, u64 now)
{
	struct cpu_counters *c = counters();
	u32 reason = tag >> SLOT_REASON_SHIFT;
	u32 uninterruptible = (tag & SLOT_STATE) == SLOT_UNINTERRUPTIBLE;
	s64 ns = now - slot->since;

	if (reason >= REASONS)
		reason = REASON_UNKNOWN;
	if (ns < 0) {
		c->blocked_clamped++;
		ns = 0;
	}

	struct interval_sum *sum = &c->blocked[uninterruptible][reason];

	sum->ns += ns;
	sum->count++;
}

/* Another task owned this slot; what it was waiting for cannot be told any more. */
inline_always void count_displaced(struct task_slot *slot)
{
	if (is_blocked(slot->tag))
		counters()->blocked_collided++;
	else if ((slot->tag & SLOT_STATE) != SLOT_RUNNING)
		batch_of(STREAM_RUNQLAT)->collided++;
}
