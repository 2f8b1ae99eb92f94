/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What the scheduler accounts of a wait that we time, found out wait by wait.
 *
 * Its account (sched_info.run_delay) is what our waits are checked against, and differs from ours
 * for reasons that have nothing to do with how right ours are:
 *
 * It tells time by a clock that it renews with the tick, at most enqueues and at most switches
 * (rq_clock_skip_update()). Where that stood still all along, it takes a wait for none.
 *
 * A task that is preempted after it had set itself to sleep is not queued by its account: it takes
 * such a wait for none, however long.
 *
 * A task that goes to sleep may stay on the run queue for a while (since 6.12, sched_delayed). If
 * it is moved to another CPU then, what it sleeps on is accounted as a wait.
 *
 * sched_switch comes just before the scheduler accounts a wait (sched_info_arrive()), so we know
 * what it will. A slot's run_delay follows: it is what the scheduler has accounted of waits that
 * are dealt with. What there is more is of moves to other CPUs, or of a wait whose end nobody saw.
 */
#pragma once
#include "slots.h"

#if !TIMING_ACCOUNTING && (WITH_RUNQLAT || WITH_OFFCPU) && defined(TASK_CFS_RQ) && \
	defined(CFS_RQ_RQ) && defined(RQ_CLOCK) && defined(RQ_CLOCK_TASK)

/* Further than this the scheduler's time of a wait is not from ours by its clock alone. */
#define CLOCKS_APART_NS 200000

/*
 * Of this CPU, where `next` has come to run. A task points to it, but by way of cold memory (60 ns
 * a switch under PostgreSQL), so it is remembered where it may be: in a map that only programs see,
 * an address of the kernel being nobody else's business.
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

/* Of the wait that ends here. */
inline_always u64 will_account(struct task_slot *slot, u64 next)
{
	u32 so_far = LOAD64(next, TASK_RUN_DELAY);
	u64 queued = LOAD64(next, TASK_LAST_QUEUED);
	u64 ns = so_far - slot->run_delay;

	if (queued)
		ns += LOAD64(run_queue_of(next), RQ_CLOCK) - queued;
	slot->run_delay += ns;
	return ns;
}

/* Whether a wait can be accounted as none: queued by a clock that stood still, or not queued. */
inline_always bool may_be_none(u32 tag, u64 next)
{
	return (tag & SLOT_STATE) == SLOT_PREEMPTED || LOAD64(next, TASK_LAST_QUEUED) != 0;
}

/* A wait that we timed. */
inline_always void compare_wait(struct task_slot *slot, u32 tag, u64 next, u64 ours)
{
	u64 theirs = will_account(slot, next);
	s64 more = theirs - ours;

	if ((more < CLOCKS_APART_NS && more > -CLOCKS_APART_NS) ||
	    (theirs == 0 && may_be_none(tag, next)))
		slot->apart_ns += more;
	else if (tag & SLOT_LINGERED && more > 0)
		origin_of(slot->tid)->slept_us += (u64)more / 1000;
}

/* A wait that we could not time, of which this is the end. */
inline_always void leave_out_wait(struct task_slot *slot, u64 next)
{
	origin_of(slot->tid)->run_delay += will_account(slot, next);
}

/* Whether a task that waits, as far as we know, has been on a CPU meanwhile. */
inline_always bool has_run(const struct task_slot *slot, u64 task)
{
	return (u32)LOAD64(task, TASK_RUN_DELAY) != slot->run_delay;
}

/*
 * Waits that ended before, and that nobody saw; up to 2 s. Looked at from another CPU, a task may be
 * just coming to run: what its wait will be accounted as is in our sum already, and not in theirs.
 */
inline_always u32 leave_out_unseen(struct task_slot *slot, u64 task)
{
	s32 unseen = (u32)LOAD64(task, TASK_RUN_DELAY) - slot->run_delay;

	if (!rarely(unseen > 0))
		return 0;
	origin_of(slot->tid)->run_delay += unseen;
	slot->run_delay += unseen;
	return unseen;
}

/*
 * The scheduler brings a task's CPU time up to date with the tick and at switches. What is missing
 * as the task exits is of its last turn, which began by the same clock as its wait ended by.
 */
inline_always void complete_runtime(struct task_summary *summary, const struct task_slot *slot, u64 task)
{
	u64 rq = run_queue_of(task);
	u64 updated = LOAD64(task, TASK_EXEC_START) + LOAD64(rq, RQ_CLOCK) - LOAD64(rq, RQ_CLOCK_TASK);

	/* and not one that was running as the run began: our turn is not all of it */
	if (slot->tag == SLOT_RUNNING && summary->kernel_runtime != RUNTIME_UNKNOWN)
		summary->kernel_runtime += summary->open_ns - (updated - LOAD64(task, TASK_LAST_ARRIVAL));
	else
		summary->kernel_runtime = RUNTIME_UNKNOWN;
}

/* Whether a task that goes to sleep stays on the run queue. */
inline_always u32 lingers(u64 task)
{
#ifdef TASK_DELAYED
	return LOAD8(task, TASK_DELAYED) ? SLOT_LINGERED : 0;
#else
	return 0;
#endif
}

#else

inline_always void compare_wait(struct task_slot *slot, u32 tag, u64 next, u64 ours)
{
}

inline_always void leave_out_wait(struct task_slot *slot, u64 next)
{
}

inline_always bool has_run(const struct task_slot *slot, u64 task)
{
	return false;
}

inline_always u32 leave_out_unseen(struct task_slot *slot, u64 task)
{
	return 0;
}

inline_always void complete_runtime(struct task_summary *summary, const struct task_slot *slot, u64 task)
{
	summary->kernel_runtime = RUNTIME_UNKNOWN;
}

inline_always u32 lingers(u64 task)
{
	return 0;
}

#endif
