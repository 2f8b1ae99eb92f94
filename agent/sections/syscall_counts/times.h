/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Times and errors of syscalls: compiled in only on request, because of their cost. */
#pragma once
#include "sections/exec/failures.h"

/* A task's current syscall, if syscalls are timed. Indexed by tid & SLOT_MASK. */
struct syscall_entry {
	u64 since; /* 0: in no syscall */
	u32 tid;
	u32 number; /* index into the counters, possibly with ENTRY_PRIMED; or ENTRY_NEW */
};

_Static_assert(sizeof(struct syscall_entry) == ENTRY_SIZE, "syscall_entry");

/* Calls that returned. */
struct syscall_sum {
	u64 ns;
	u64 returned;
	u64 errors;
	u64 interrupted; /* by a signal: to be restarted, or EINTR */
	u64 refused;	 /* returned without having been entered (syscall_refused()) */
};

/* Times of all syscalls, one per CPU. */
struct syscall_times {
	struct syscall_sum syscalls[SYSCALLS];
	u64 syscalls_in_flight; /* entered before the run began */
	u64 syscalls_unmatched; /* returned, but not seen to enter */
	u64 syscalls_clamped;
	u64 syscalls_collided;
	u64 padding[4];
};

_Static_assert(sizeof(struct syscall_times) == TIMES_SIZE, "syscall_times");

#if WITH_SYSCALL_TIMES
inline_always struct syscall_times *syscall_times(void)
{
	return (struct syscall_times *)(MAP_VALUE(SYSCALL_TIMES_FD) +
					  (bpf_get_smp_processor_id() & CPU_MASK) *
						  sizeof(struct syscall_times));
}
inline_always struct syscall_entry *entry_of(u32 tid)
{
	return (struct syscall_entry *)(MAP_VALUE(ENTRIES_FD) +
					(tid & SLOT_MASK) * sizeof(struct syscall_entry));
}

inline_always void syscall_entered(u32 tid, u32 number)
{
	struct syscall_entry *entry = entry_of(tid);

	if (entry->tid != tid && entry->since != 0)
		add_to(&syscall_times()->syscalls_collided, 1, true);
	entry->tid = tid;
	entry->number = number;
	entry->since = bpf_ktime_get_ns();
}

/*
 * A call that returns and was not entered: a seccomp filter, or what watches for it, has answered
 * it before sys_enter. A tracer that has a call skipped replaces its number by -1.
 */
inline_always void syscall_refused(u32 number, s64 result)
{
	if ((s32)number < 0)
		return;
	if (current_in_compat_syscall())
		number = SYSCALL_COMPAT;
	if (number >= SYSCALL_OTHER)
		number = SYSCALL_OTHER;
	syscall_times()->syscalls[masked(number, SYSCALLS - 1)].refused++;
	if (is_exec(number))
		exec_refused(result);
}

/* The return of a task that has no entry of its own. */
inline_always void returned_unmatched(struct syscall_entry *entry, u32 tid)
{
	syscall_times()->syscalls_unmatched++;
	if (entry->since != 0)
		return; /* another task's call */
	entry->tid = tid;
	entry->number = 0;
}

/*
 * The number is the one noted at the entry, since rt_sigreturn overwrites the saved one. A child
 * returns from a clone() that only its parent entered; its own entry is empty (new_entry()).
 */
inline_always void syscall_returned(u32 tid, u32 saved_number, s64 result)
{
	struct syscall_entry *entry = entry_of(tid);
	struct syscall_times *d = syscall_times();
	u64 since = entry->since;

	if (rarely(entry->tid != tid)) {
		returned_unmatched(entry, tid);
		return;
	}
	if (rarely(since == 0)) {
		if (entry->number != ENTRY_NEW)
			syscall_refused(saved_number, result);
		entry->number = 0;
		return;
	}
	entry->since = 0;

	struct syscall_sum *sum = &d->syscalls[entry->number & (SYSCALLS - 1)];
	s64 ns = bpf_ktime_get_ns() - since;

	if (ns < 0) {
		d->syscalls_clamped++;
		ns = 0;
	}
	if (entry->number & ENTRY_PRIMED)
		d->syscalls_in_flight++;
	sum->ns += ns;
	sum->returned++;
	if (was_interrupted(result))
		sum->interrupted++;
	else if (is_error(result))
		sum->errors++;
}

/* Without CONFIG_SMP there may be no such field; then only the task that runs this is on a CPU. */
inline_always bool is_on_cpu(u64 task, u32 tid)
{
#ifdef TASK_ON_CPU
	return LOAD(task, TASK_ON_CPU) != 0;
#else
	return tid == (u32)bpf_get_current_pid_tgid();
#endif
}

/* A task that is in a call as the run begins: time the call from now on. */
inline_always void prime_entry(u64 task, u32 tid, u64 now)
{
#ifdef HAVE_SAVED_REGISTERS
	struct syscall_entry *entry = entry_of(tid);

	/* the saved registers of a running task may be from its last call */
	if (entry->tid == tid || is_on_cpu(task, tid) ||
	    LOAD(task, TASK_FLAGS) & (PF_KTHREAD | PF_IO_WORKER))
		return;

	s32 number = SAVED_SYSCALL(saved_registers(task), REGS_SYSCALL);

	entry->tid = tid;
	entry->number = 0;
	if (number < 0)
		return;
	if (in_compat_syscall(task))
		number = SYSCALL_COMPAT;
	if (number >= SYSCALL_OTHER)
		number = SYSCALL_OTHER;
	entry->number = number | ENTRY_PRIMED;
	entry->since = now;
#endif
}

inline_always void forget_entry(u32 tid)
{
	struct syscall_entry *entry = entry_of(tid);

	if (entry->tid == tid)
		entry->since = 0;
}

/*
 * A task leaves the scope. What it enters and returns from outside of it is not seen, so if it comes
 * back, the call that it is in has to be determined again.
 */
inline_always void leave_call(u32 tid)
{
	struct syscall_entry *entry = entry_of(tid);

	if (entry->tid != tid)
		return;
	entry->tid = 0;
	entry->since = 0;
}

/* A new task returns from the call that created it without having entered it. */
inline_always void new_entry(u32 tid)
{
	struct syscall_entry *entry = entry_of(tid);

	if (entry->tid != tid && entry->since != 0)
		add_to(&syscall_times()->syscalls_collided, 1, true);
	entry->tid = tid;
	entry->number = ENTRY_NEW;
	entry->since = 0;
}

/* A thread that execs takes over the leader's id in the middle of the call. */
inline_always void move_entry(u32 old_tid, u32 tid)
{
	struct syscall_entry *from = entry_of(old_tid), *to = entry_of(tid);

	if (from->tid != old_tid)
		return;
	to->tid = tid;
	to->number = from->number;
	to->since = from->since;
	from->since = 0;
}
#endif
