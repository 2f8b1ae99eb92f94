/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What the scheduler accounts for each wait that we time, and the difference.
 *
 * For a task whose waits were all seen, at the end of each wait, to within 1 µs per wait:
 *
 *	wait_ns + scheduler_excess_ns + 1000 * sleep_as_wait_us == run_delay - origin->run_delay
 *	kernel_seen == (u32)run_delay
 *
 * where run_delay is the scheduler's account (sched_info.run_delay) as it will be a moment later.
 * docs/explanation/task-accounts.md has the reasons why the two sides differ, and what becomes of
 * waits that were not seen.
 */
#pragma once
#include "timing.h"

/* Needs timed waits, and a path from a task to its run queue's clock (CONFIG_FAIR_GROUP_SCHED). */
#if !TIMING_ACCOUNTING && WITH_TASK_TIMES && defined(TASK_CFS_RQ) && defined(CFS_RQ_RQ) && \
	defined(RQ_CLOCK) && defined(RQ_CLOCK_TASK)
#define WITH_WAIT_ACCOUNT 1
#else
#define WITH_WAIT_ACCOUNT 0
#endif

#if WITH_WAIT_ACCOUNT

/* A larger difference is not just a stale rq clock. */
#define STALE_CLOCK_NS 200000

/*
 * The run queue of this CPU, where `next` has come to run. A task points to it, but through cold
 * memory (60 ns per switch under PostgreSQL), so the address is cached if the kernel lets us read
 * through it: in a map that only programs can see, since kernel addresses must not leak.
 */
inline_always u64 run_queue_of(u64 next)
{
#if DIRECT_RUN_QUEUE
	u64 *known = (u64 *)MAP_VALUE(RUN_QUEUES_FD) + (bpf_get_smp_processor_id() & CPU_MASK);

	if (rarely(*known == 0))
		*known = LOAD64(LOAD64(next, TASK_CFS_RQ), CFS_RQ_RQ);
	return as_type(*known, RQ_TYPE);
#else
	return LOAD64(LOAD64(next, TASK_CFS_RQ), CFS_RQ_RQ);
#endif
}

/* What run_delay is about to gain for the wait that ends here; marked as attributed. */
inline_always u64 upcoming_run_delay(struct task_slot *slot, u64 next)
{
	u32 so_far = LOAD64(next, TASK_RUN_DELAY);
	u64 queued = LOAD64(next, TASK_LAST_QUEUED);
	u64 ns = so_far - slot->kernel_seen;

	if (queued)
		ns += LOAD64(run_queue_of(next), RQ_CLOCK) - queued;
	slot->kernel_seen += ns;
	return ns;
}

/* Whether the scheduler may account 0: its clock stood still, or it did not queue the task. */
inline_always bool may_account_zero(u32 tag, u64 next)
{
	return (tag & SLOT_STATE) == SLOT_PREEMPTED || LOAD64(next, TASK_LAST_QUEUED) != 0;
}

/* Compare a wait that we timed. */
inline_always void compare_wait(struct task_slot *slot, u32 tag, u64 next, u64 ours)
{
	u64 theirs = upcoming_run_delay(slot, next);
	s64 excess = theirs - ours;

	if ((excess < STALE_CLOCK_NS && excess > -STALE_CLOCK_NS) ||
	    (theirs == 0 && may_account_zero(tag, next)))
		slot->scheduler_excess_ns += excess;
	else if (tag & SLOT_DEQUEUE_DELAYED && excess > 0)
		origin_of(slot->tid)->sleep_as_wait_us += (u64)excess / 1000;
}

/* Take a wait that ends here, and that we could not time, off the scheduler's side. */
inline_always void discount_untimed_wait(struct task_slot *slot, u64 next)
{
	origin_of(slot->tid)->run_delay += upcoming_run_delay(slot, next);
}

/* Whether a task that was waiting when last seen has been on a CPU since. */
inline_always bool has_run(const struct task_slot *slot, u64 task)
{
	return (u32)LOAD64(task, TASK_RUN_DELAY) != slot->kernel_seen;
}

/*
 * Take waits that ended earlier and were not seen, up to 2 s in all, off the scheduler's side, and
 * return their length. Looked at from another CPU, a task may be just about to run: its wait is
 * attributed already but not in run_delay yet, so the difference may be negative.
 */
inline_always u32 discount_unseen_waits(struct task_slot *slot, u64 task)
{
	s32 unseen = (u32)LOAD64(task, TASK_RUN_DELAY) - slot->kernel_seen;

	if (!rarely(unseen > 0))
		return 0;
	origin_of(slot->tid)->run_delay += unseen;
	slot->kernel_seen += unseen;
	return unseen;
}

/*
 * The scheduler updates a task's CPU time at ticks and switches, so at exit the end of its last
 * turn is missing. The scheduler began that turn by the same clock by which it ended the wait.
 */
inline_always void complete_runtime(struct task_summary *summary, const struct task_slot *slot,
				    u64 task)
{
	u64 rq = run_queue_of(task);
	u64 updated = LOAD64(task, TASK_EXEC_START) + LOAD64(rq, RQ_CLOCK) - LOAD64(rq, RQ_CLOCK_TASK);

	/* not if it was running as the run began: then we know only a part of that turn */
	if (slot->tag == SLOT_RUNNING && summary->kernel_runtime != RUNTIME_UNKNOWN)
		summary->kernel_runtime += summary->open_ns - (updated - LOAD64(task, TASK_LAST_ARRIVAL));
	else
		summary->kernel_runtime = RUNTIME_UNKNOWN;
}

/* A flag of the tag: whether a task that goes to sleep stays on the run queue for now. */
inline_always u32 dequeue_delayed(u64 task)
{
#ifdef TASK_DELAYED
	return LOAD8(task, TASK_DELAYED) ? SLOT_DEQUEUE_DELAYED : 0;
#else
	return 0;
#endif
}

#else

inline_always void compare_wait(struct task_slot *slot, u32 tag, u64 next, u64 ours)
{
}

inline_always void discount_untimed_wait(struct task_slot *slot, u64 next)
{
}

inline_always bool has_run(const struct task_slot *slot, u64 task)
{
	return false;
}

inline_always u32 discount_unseen_waits(struct task_slot *slot, u64 task)
{
	return 0;
}

inline_always void complete_runtime(struct task_summary *summary, const struct task_slot *slot,
				    u64 task)
{
	summary->kernel_runtime = RUNTIME_UNKNOWN;
}

inline_always u32 dequeue_delayed(u64 task)
{
	return 0;
}

#endif
