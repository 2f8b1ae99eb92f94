/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Why a task is off the CPUs. If it blocks: the syscall that it is in, read from the registers it
 * saved on entering the kernel. That costs a few loads, is right for tasks that blocked before the
 * run began, and cannot go stale as a number remembered at sys_enter could.
 */
#pragma once
#include "kernel.h"

inline_always bool is_blocked(u32 tag)
{
	u32 state = tag & SLOT_STATE;

	return state == SLOT_INTERRUPTIBLE || state == SLOT_UNINTERRUPTIBLE;
}

/* Stopped, or not there: not born yet, or dead. */
inline_always bool is_away(u32 tag)
{
	return (tag & SLOT_STATE) >= SLOT_STOPPED;
}

/* Flags of tasks whose registers do not say what they do. */
#define PF_NOT_BY_REGISTERS (PF_KTHREAD | PF_IO_WORKER | PF_SIGNALED)

/* A task killed by a signal still has the registers of what the signal interrupted. */
inline_always u32 reason_by_flags(u32 flags)
{
	if (flags & PF_KTHREAD)
		return REASON_KERNEL_THREAD;
	if (flags & PF_IO_WORKER)
		return REASON_IO_WORKER;
	return REASON_KILLED;
}

/* The address of a kernel function, given its BTF type id; the kernel fills it in (since 6.0). */
#define ADDRESS_OF(type) bpf_pseudo_fd(3, type)

/* clock_nanosleep() has a clock's number as its first argument, nanosleep() an address. */
#define CLOCKS 4096

/*
 * The call that restart_syscall() continues, after a signal that had no handler, such as
 * SIGSTOP: what to call is in the task's restart_block. If that is unknown, restart_syscall().
 */
inline_always u32 restarted_call(u64 task, u64 registers, u32 restart)
{
#ifdef TASK_RESTART_FN
	u64 function = FOLLOW(task, TASK_RESTART_FN);
#endif
#ifdef FN_DO_RESTART_POLL
	if (function == ADDRESS_OF(FN_DO_RESTART_POLL))
		return POLL_NUMBER;
#endif
#ifdef FN_DO_NO_RESTART_SYSCALL
	if (function == ADDRESS_OF(FN_DO_NO_RESTART_SYSCALL))
		return FUTEX_NUMBER;
#endif
#ifdef FN_HRTIMER_NANOSLEEP_RESTART
	if (function == ADDRESS_OF(FN_HRTIMER_NANOSLEEP_RESTART))
		return LOAD_REGISTER(registers, REGS_ARGUMENT) < CLOCKS ?
			       CLOCK_NANOSLEEP_NUMBER :
			       NANOSLEEP_NUMBER;
#endif
#ifdef FN_POSIX_CPU_NSLEEP_RESTART
	if (function == ADDRESS_OF(FN_POSIX_CPU_NSLEEP_RESTART))
		return CLOCK_NANOSLEEP_NUMBER;
#endif
#ifdef FN_ALARM_TIMER_NSLEEP_RESTART
	if (function == ADDRESS_OF(FN_ALARM_TIMER_NSLEEP_RESTART))
		return CLOCK_NANOSLEEP_NUMBER;
#endif
	return restart;
}

inline_always u32 blocked_reason(u64 task)
{
	u32 flags = LOAD(task, TASK_FLAGS);

	if (rarely(flags & PF_NOT_BY_REGISTERS))
		return reason_by_flags(flags);
#ifdef HAVE_SAVED_REGISTERS
	u64 registers = saved_registers(task);
	s32 syscall = SAVED_SYSCALL(registers, REGS_SYSCALL);

	if (rarely(syscall < 0))
		return REASON_PAGE_FAULT;
	if (rarely(in_compat_syscall(task)))
		return REASON_COMPAT;
#ifdef RESTART_SYSCALL_NUMBER
	if (rarely(syscall == RESTART_SYSCALL_NUMBER))
		return restarted_call(task, registers, syscall);
#endif
	return syscall < SYSCALLS ? syscall : REASON_UNKNOWN;
#else
	return REASON_UNKNOWN;
#endif
}

/* The tag of a task that is stopped, or gone. */
inline_always u32 away_tag(u32 state)
{
	u32 kind = STOP_FROZEN;

	if (state & TASK_GONE)
		return SLOT_ABSENT;
	if (state & TASK_STOPPED)
		kind = STOP_SIGNAL;
	else if (state & TASK_TRACED)
		kind = STOP_TRACED;
	return SLOT_STOPPED | kind << SLOT_REASON_SHIFT;
}

/*
 * The freezer of cgroup v2 has tasks sleep interruptibly, on their way back to user space. No
 * other sleep of that kind can begin meanwhile, since a signal is pending until the task is there.
 */
inline_always bool in_freezer(u64 task, u32 state)
{
#ifdef TASK_JOBCTL
	return state & TASK_INTERRUPTIBLE && LOAD(task, TASK_JOBCTL) & JOBCTL_TRAP_FREEZE;
#else
	return false;
#endif
}

/* The tag of a task that leaves the CPU in this state, which is not TASK_RUNNING. */
inline_always u32 blocked_tag(u64 task, u32 state)
{
	u32 blocked;

	if (rarely(state & (TASK_GONE | TASK_STOPPED | TASK_TRACED | TASK_FROZEN)))
		return away_tag(state);
	if (rarely(in_freezer(task, state)))
		return away_tag(TASK_FROZEN);
	blocked = state & TASK_INTERRUPTIBLE ? SLOT_INTERRUPTIBLE : SLOT_UNINTERRUPTIBLE;
	return blocked | blocked_reason(task) << SLOT_REASON_SHIFT;
}

#ifndef SCHED_YIELD_NUMBER
#define SCHED_YIELD_NUMBER REASON_UNKNOWN /* an architecture without a table of syscalls */
#endif

/*
 * Whether a task in state TASK_RUNNING has given the CPU away until its next period, as a deadline
 * task does with sched_yield(). A deadline task whose runtime is used up wants the CPU: it waits.
 */
inline_always bool gave_period_away(u64 task)
{
#if defined(TASK_PRIO) && defined(TASK_DL_YIELDED)
	return rarely(LOAD_SIGNED(task, TASK_PRIO) < 0) &&
	       LOAD8(task, TASK_DL_YIELDED) & TASK_DL_YIELDED_MASK;
#else
	return false;
#endif
}

/*
 * The tag of a task in state TASK_RUNNING that is not on a CPU; `waiting` if it waits for one. The
 * reason is not read: code that does so twice in the program on sched_switch costs it 10 ns.
 */
inline_always u32 runnable_tag(u64 task, u32 waiting)
{
	if (rarely(gave_period_away(task)))
		return SLOT_INTERRUPTIBLE | SLOT_YIELDED | SCHED_YIELD_NUMBER << SLOT_REASON_SHIFT;
	return waiting;
}
