/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What the scheduler accounts for each wait and each turn that we time, and the difference.
 *
 * For a task whose waits and turns were all seen, at the end of each, to within 1 µs per wait:
 *
 *	wait_ns + scheduler_excess_ns + 1000 * sleep_as_wait_us == run_delay - origin->run_delay
 *	oncpu_ns + origin->turn_excess_ns == sum_exec_runtime - origin->runtime
 *	kernel_seen == (u32)(run_delay >> RUN_DELAY_SHIFT)
 *
 * where run_delay is the scheduler's account (sched_info.run_delay) as it will be a moment later.
 * docs/explanation/task-accounts.md has the reasons why the two sides differ, and what becomes of
 * what was not seen.
 */
#pragma once
#include "timing.h"

/* Needs timed waits, and a path from a task to its run queue's clock (CONFIG_FAIR_GROUP_SCHED). */
#if !TIMING_ACCOUNTING && WITH_TASK_TIMES && defined(TASK_CFS_RQ) && defined(CFS_RQ_RQ) && \
	defined(RQ_CLOCK)
#define WITH_WAIT_ACCOUNT 1
#else
#define WITH_WAIT_ACCOUNT 0
#endif

/* CPU time is compared in runs with a scope only: in others, process 1 may go unseen for long. */
#define WITH_TURN_ACCOUNT (!TIMING_ACCOUNTING && WITH_OFFCPU && SCOPED)

inline_always struct run_queue *run_queue(u32 cpu)
{
	return (struct run_queue *)(MAP_VALUE(RUN_QUEUES_FD) +
				    (cpu & CPU_MASK) * sizeof(struct run_queue));
}

inline_always struct run_queue *this_run_queue(void)
{
	return run_queue(bpf_get_smp_processor_id());
}

/*
 * By how many µs the scheduler dates the beginning of a wait earlier (turns.h) has the 16 bits of a
 * block's reason in the tag. This value says that it does so, but not by how much.
 */
#define EARLY_UNKNOWN 65535

/*
 * The two clocks are read at different moments of one switch or wakeup: the scheduler's is up to a
 * few microseconds old, and other tracers' programs may run before ours. A larger difference is
 * not just that.
 */
#define STALE_CLOCK_NS 200000

inline_always bool is_stale_clock(s64 excess)
{
	return excess < STALE_CLOCK_NS && excess > -STALE_CLOCK_NS;
}

#if WITH_WAIT_ACCOUNT
/*
 * The kernel's run queue of this CPU, where `next` has come to run. A task points to it, but
 * through cold memory (60 ns per switch under PostgreSQL), so the address is cached if the kernel
 * lets us read through it.
 */
inline_always u64 kernel_run_queue(struct run_queue *here, u64 next)
{
#if DIRECT_RUN_QUEUE
	if (rarely(here->address == 0))
		here->address = FOLLOW(FOLLOW(next, TASK_CFS_RQ), CFS_RQ_RQ);
	return as_type(here->address, RQ_TYPE);
#else
	return FOLLOW(FOLLOW(next, TASK_CFS_RQ), CFS_RQ_RQ);
#endif
}
#endif

#if WITH_TURN_ACCOUNT && WITH_WAIT_ACCOUNT && defined(RQ_CLOCK_TASK)
#define WITH_TASK_CLOCK 1

/*
 * The clock that the scheduler times turns by. A switch does not renew it if a wakeup has asked for
 * that switch, which may be milliseconds before where the kernel does not preempt itself. And it
 * leaves out time that a hypervisor or interrupts took, on kernels that account for them.
 */
inline_always u64 task_clock(struct run_queue *here, u64 task)
{
	return LOAD(kernel_run_queue(here, task), RQ_CLOCK_TASK);
}
#else
#define WITH_TASK_CLOCK 0
#endif

#if WITH_TASK_TIMES
/* A turn begins: note what the scheduler has accounted to the task before. */
inline_always void note_arrival(struct run_queue *here, u64 next, u64 now)
{
	here->arrived_ns = now;
	here->runtime = LOAD(next, TASK_RUNTIME);
#if WITH_TASK_CLOCK
	here->task_clock = task_clock(here, next);
#endif
	here->wait_excess_ns = 0;
	here->wait_unexplained_ns = 0;
}

/* Whether the task that the slot is about came to this CPU last, by what we have seen. */
inline_always bool is_noted(const struct run_queue *here, const struct task_slot *slot)
{
	return here->arrived_ns == slot->since;
}

/* By how much more the scheduler accounts of a turn that was noted and ends now. */
inline_always s64 turn_excess(const struct run_queue *here, u64 prev, u64 now)
{
	return LOAD(prev, TASK_RUNTIME) - here->runtime - (now - here->arrived_ns);
}

/*
 * Look again at a wait that was not explained, as the turn after it ends. If the turn is longer by
 * the scheduler's account by as much as the wait is shorter, it only dates the switch between them
 * otherwise: its clock was renewed after it queued the task, and has stood still since.
 */
inline_always void explain_wait(struct task_slot *slot, struct run_queue *here, u64 prev, u64 now)
{
	s64 unexplained = here->wait_unexplained_ns;

	here->wait_unexplained_ns = 0;
	if (is_noted(here, slot) && is_stale_clock(turn_excess(here, prev, now) + unexplained))
		slot->scheduler_excess_ns += unexplained;
}

/*
 * The same of a turn that is still open as the account is reported: what would tell is not known yet,
 * so nothing is said of that wait.
 */
inline_always s64 not_explained_yet(const struct task_slot *slot, const struct run_queue *here)
{
	s64 unexplained = *(volatile s64 *)&here->wait_unexplained_ns;

	return WITH_OFFCPU && is_noted(here, slot) ? unexplained : 0;
}
#endif

#if WITH_WAIT_ACCOUNT

/* What run_delay has gained that is not attributed yet, in ns: negative if it is about to. */
inline_always s64 not_attributed(const struct task_slot *slot, u64 run_delay)
{
	s32 gained = (u32)(run_delay >> RUN_DELAY_SHIFT) - slot->kernel_seen;

	return (s64)gained << RUN_DELAY_SHIFT;
}

inline_always s64 run_delay_gained(const struct task_slot *slot, u64 task)
{
	return not_attributed(slot, LOAD(task, TASK_RUN_DELAY));
}

/* What the scheduler is about to account for the wait that ends here. */
inline_always u64 upcoming_run_delay(struct run_queue *here, u64 next, u64 queued)
{
	return queued ? LOAD(kernel_run_queue(here, next), RQ_CLOCK) - queued : 0;
}

/*
 * What run_delay will then have gained for the whole wait; marked as attributed. If the task was
 * moved to another CPU meanwhile, a part has been accounted already.
 */
inline_always u64 attribute_run_delay(struct task_slot *slot, u64 next, u64 upcoming)
{
	u64 run_delay = LOAD(next, TASK_RUN_DELAY);
	u64 gained = not_attributed(slot, run_delay);

	slot->kernel_seen = (run_delay + upcoming) >> RUN_DELAY_SHIFT;
	return gained + upcoming;
}

/* Whether the scheduler's figure may differ by more than a stale clock, for a reason we know. */
inline_always bool is_dated_otherwise(s64 excess, u32 tag, bool nothing_upcoming, bool queued)
{
	bool preempted = (tag & SLOT_STATE) == SLOT_PREEMPTED;
	/* its clock stood still, or it did not queue the task */
	bool may_be_less = nothing_upcoming && (queued || preempted);
	/* by its clock the turn before ended that much earlier */
	s64 early = preempted ? (u64)(tag >> SLOT_REASON_SHIFT) * 1000 : 0;

	return is_stale_clock(excess - early) || (excess < 0 && may_be_less) ||
	       (early == EARLY_UNKNOWN * 1000 && excess > 0 && excess < early);
}

/* Compare a wait that we timed. */
inline_always void compare_wait(struct task_slot *slot, struct run_queue *here, u32 tag, u64 next,
				u64 ours)
{
	u64 queued = LOAD(next, TASK_LAST_QUEUED);
	u64 upcoming = upcoming_run_delay(here, next, queued);
	s64 excess = attribute_run_delay(slot, next, upcoming) - ours;

	if (!rarely(!is_stale_clock(excess)) ||
	    is_dated_otherwise(excess, tag, upcoming == 0, queued != 0)) {
		slot->scheduler_excess_ns += excess;
		if (WITH_TURN_ACCOUNT)
			here->wait_excess_ns = excess;
	} else if (tag & SLOT_DEQUEUE_DELAYED && excess > 0) {
		origin_of(slot->tid)->sleep_as_wait_us += (u64)excess / 1000;
	} else {
		note_arrival(here, next, slot->since);
		here->wait_excess_ns = here->wait_unexplained_ns = excess; /* until the turn ends */
	}
	if (rarely(!queued))
		origin_of(slot->tid)->pcount--; /* an arrival that the scheduler does not count */
}

/*
 * Take `ns` that the scheduler accounts for waits that we did not time off its side; its total is, or
 * is about to be, `run_delay`. What it has gained is known in units of 64 ns. That is negligible where
 * there is a wait of ours, but a task that has none must agree exactly: there all of the total comes
 * off.
 */
inline_always void discount(struct task_slot *slot, u64 ns, u64 run_delay)
{
	struct task_origin *origin = origin_of(slot->tid);

	if (slot->waits == 0)
		origin->run_delay = run_delay;
	else
		origin->run_delay += ns;
}

/* Take a wait that ends here, and that we could not time, off the scheduler's side. */
inline_always void discount_untimed_wait(struct task_slot *slot, struct run_queue *here, u64 next)
{
	u64 upcoming = upcoming_run_delay(here, next, LOAD(next, TASK_LAST_QUEUED));
	u64 ns = attribute_run_delay(slot, next, upcoming);

	discount(slot, ns, LOAD(next, TASK_RUN_DELAY) + upcoming);
}

/* Whether a task that was waiting when last seen has been on a CPU since. */
inline_always bool has_run(const struct task_slot *slot, u64 task)
{
	return run_delay_gained(slot, task) != 0;
}

/* Whether the scheduler has counted arrivals of the task that we did not see. */
inline_always bool arrived_unseen(const struct task_slot *slot, u64 task)
{
	u32 counted = (u32)LOAD(task, TASK_PCOUNT) - origin_of(slot->tid)->pcount;

	return (s32)(counted - slot->waits) > 0;
}

/*
 * Take waits that ended earlier and were not seen off the scheduler's side, and return their
 * length in ns. If no arrival went unseen, there are none: then the scheduler accounts waits
 * otherwise than compare_wait() takes it to, and its figure stays as it is, for the check to fail.
 */
inline_always u64 discount_unseen_waits(struct task_slot *slot, u64 task)
{
	s64 unseen = run_delay_gained(slot, task);

	if (!rarely(unseen > 0))
		return 0;
	slot->kernel_seen += (u64)unseen >> RUN_DELAY_SHIFT;
	if (!arrived_unseen(slot, task))
		return 0;
	discount(slot, unseen, LOAD(task, TASK_RUN_DELAY));
	return unseen;
}

/*
 * The part of an open interval that the scheduler has accounted as waits: the task was moved to
 * another CPU, or has waited and run unseen. Looked at from another CPU, a task may be just about
 * to run: its wait is attributed already but not in run_delay yet.
 */
inline_always u64 open_run_delay(const struct task_slot *slot, u64 task)
{
	s64 gained = slot->waits == 0 ? LOAD(task, TASK_RUN_DELAY) - origin_of(slot->tid)->run_delay :
					run_delay_gained(slot, task);

	return gained > 0 ? gained : 0;
}

/* A flag of the tag: whether a task that goes to sleep stays on the run queue for now. */
inline_always u32 dequeue_delayed(u64 task)
{
#ifdef TASK_DELAYED
	return LOAD(task, TASK_DELAYED) ? SLOT_DEQUEUE_DELAYED : 0;
#else
	return 0;
#endif
}

/* The same for a task that is asleep: whether it did, and the scheduler still takes it as queued. */
inline_always u32 sleeps_queued(u64 task)
{
	return LOAD(task, TASK_LAST_QUEUED) ? SLOT_DEQUEUE_DELAYED : dequeue_delayed(task);
}

#else

inline_always void compare_wait(struct task_slot *slot, struct run_queue *here, u32 tag, u64 next,
				u64 ours)
{
}

inline_always void discount_untimed_wait(struct task_slot *slot, struct run_queue *here, u64 next)
{
}

inline_always bool has_run(const struct task_slot *slot, u64 task)
{
	return false;
}

inline_always bool arrived_unseen(const struct task_slot *slot, u64 task)
{
	return false;
}

inline_always u64 discount_unseen_waits(struct task_slot *slot, u64 task)
{
	return 0;
}

/* Without task times the kernel may have no such field. */
#if WITH_TASK_TIMES
inline_always u64 open_run_delay(const struct task_slot *slot, u64 task)
{
	return TIMING_ACCOUNTING ? LOAD(task, TASK_RUN_DELAY) - slot->wait_ns : 0;
}
#endif

inline_always u32 dequeue_delayed(u64 task)
{
	return 0;
}

inline_always u32 sleeps_queued(u64 task)
{
	return 0;
}

#endif

#if WITH_TURN_ACCOUNT

/* Compare CPU time from here on only: the turn that ends was not seen from its beginning. */
inline_always void skip_turn(struct task_slot *slot, u64 task)
{
	struct task_origin *origin = origin_of(slot->tid);

	origin->runtime = LOAD(task, TASK_RUNTIME) - slot->oncpu_ns - origin->turn_excess_ns;
}

/* Whether the scheduler accounts for a turn what its own clock says that it took. */
inline_always bool is_by_its_clock(struct run_queue *here, u64 prev)
{
#if WITH_TASK_CLOCK
	u64 accounted = LOAD(prev, TASK_RUNTIME) - here->runtime;

	return is_stale_clock(accounted - (task_clock(here, prev) - here->task_clock));
#else
	return false;
#endif
}

/*
 * Compare a turn that ends now. If the scheduler's clock was stale as the turn began, the turn is
 * longer by the scheduler's account by as much as the wait before is shorter.
 */
inline_always void compare_turn(struct task_slot *slot, struct run_queue *here, u64 prev, u64 now)
{
	if (rarely(slot->tag & SLOT_PRIMED)) {
		skip_turn(slot, prev); /* it began before the run */
		return;
	}
	if (rarely(!is_noted(here, slot)))
		return;

	s64 excess = turn_excess(here, prev, now);

	if (is_stale_clock(excess) || is_stale_clock(excess + here->wait_excess_ns) ||
	    is_by_its_clock(here, prev))
		origin_of(slot->tid)->turn_excess_ns += excess;
}

#else

inline_always void skip_turn(struct task_slot *slot, u64 task)
{
}

inline_always void compare_turn(struct task_slot *slot, struct run_queue *here, u64 prev, u64 now)
{
}

#endif
