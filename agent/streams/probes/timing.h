/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The two ways of timing, and everything about a slot that depends on which one a run uses.
 *
 * field         timing by the clock (sched.c)         by accounting (sched_accounting.c)
 * ------------  ------------------------------------  -----------------------------------
 * wait_ns       ns waited since the origin            run_delay as last seen
 * oncpu_ns      ns on a CPU since the origin          sum_exec_runtime as last seen
 * kernel_seen   run_delay already attributed, in      pcount as last seen, low 32 bits
 *               units of 64 ns, low 32 bits
 *
 * By accounting, the kernel's totals as last seen are both the running sums (less the origin's)
 * and what the next totals are compared with, so a switch touches only one of our cache lines.
 */
#pragma once
#include "folded.h"
#include "slots.h"

/* Of `kernel_seen` with timing by the clock: 32 bits of 64 ns tell waits apart up to 137 s. */
#define RUN_DELAY_SHIFT 6

/* The sums of a task as they are reported: since the run's start, or the task's birth. */
inline_always u64 waited_ns(const struct task_slot *slot, const struct task_origin *origin)
{
	return TIMING_ACCOUNTING ? slot->wait_ns - origin->run_delay : slot->wait_ns;
}

inline_always u64 ran_ns(const struct task_slot *slot, const struct task_origin *origin)
{
	return TIMING_ACCOUNTING ? slot->oncpu_ns - origin->runtime : slot->oncpu_ns;
}

/*
 * Stream one wait as an event, or fold it. That loses nothing: whose wait it was, and whether the
 * task had been preempted, is also in the sums of the task's slot.
 */
inline_always void stream_wait(void *ctx, struct batch *batch, u32 tid, u64 ns, bool preempted)
{
#if WITH_RUNQLAT
	u64 *event = room_or_fold(ctx, batch, 1);

	if (rarely(!event)) {
		fold(RUNQLAT, ns);
		event_folded(batch);
		return;
	}
	*event = ns | (u64)tid << LATENCY_BITS | (u64)preempted << EVENT_PREEMPTED_BIT;
	event_done(batch, 1);
#endif
}

#if WITH_TASK_TIMES
/* The state in which sched_switch sees `prev` leave the CPU. */
inline_always u32 switched_out_state(u64 *ctx, u64 prev)
{
#ifdef SWITCH_PREV_STATE
	return (u32)ctx[SWITCH_PREV_STATE];
#else
	return LOAD(prev, TASK_STATE);
#endif
}

/* A task that is preempted after it had set itself to sleep is still on the run queue. */
inline_always bool stays_runnable(u64 *ctx, u32 state)
{
	return (bool)ctx[SWITCH_PREEMPT] || state == 0;
}
#endif

#if WITH_TASK_TIMES && !TIMING_ACCOUNTING

/* What the scheduler has accounted to the task as CPU time. */
inline_always u64 runtime_until(u64 task, u64 now)
{
	return LOAD(task, TASK_RUNTIME);
}

/* Start the sums at the origin, after begin_account(). */
inline_always void start_at_origin(struct task_slot *slot, const struct task_origin *origin)
{
	slot->kernel_seen = origin->run_delay >> RUN_DELAY_SHIFT;
}

/* Events have brought the slot up to date already. */
inline_always void settle_stop(struct task_slot *slot, u64 task)
{
}

#elif WITH_TASK_TIMES

/* rq_clock and bpf_ktime_get_ns() run at the same rate; the supervisor measured the offset. */
inline_always u64 to_ktime(u64 rq_clock)
{
	return rq_clock - run_config()->clock_offset;
}

/*
 * What the scheduler would account to the task as CPU time if the turn that it is in ended now. It
 * adds that up at each tick, by which time milliseconds of the turn may have passed. Only tasks of
 * the fair class have the time as they arrived; that of another task is as old as the last tick.
 */
inline_always u64 runtime_until(u64 task, u64 now)
{
	u64 accounted = LOAD(task, TASK_RUNTIME);
	u64 turn = now - to_ktime(LOAD(task, TASK_LAST_ARRIVAL));
	s64 since = LOAD(task, TASK_PREV_RUNTIME) + turn - accounted;

	return LOAD(task, TASK_ON_CPU) && since > 0 ? accounted + since : accounted;
}

inline_always void start_at_origin(struct task_slot *slot, const struct task_origin *origin)
{
	slot->wait_ns = origin->run_delay;
	slot->oncpu_ns = origin->runtime;
	slot->kernel_seen = origin->pcount;
}

/* Whether an arrival ends a wait that began within the run. */
inline_always bool was_timed(u32 tag)
{
	return !(tag & SLOT_YIELDED) && !(tag & SLOT_PRIMED && is_waiting(tag));
}

/*
 * How much of what the scheduler accounts as a wait is none, or lies before the run. A task that was
 * asleep as the run began may have a part there, too: it may have stayed on the run queue for a
 * while (since 6.12), which the scheduler takes for a wait if the task is then moved.
 */
inline_always u64 untimed_part(const struct task_slot *slot, u64 task, u64 wait)
{
	s64 before = slot->since - (to_ktime(LOAD(task, TASK_LAST_ARRIVAL)) - wait);

	if (!was_timed(slot->tag))
		return wait;
	return before > 0 ? before : 0;
}

/*
 * If the task has come to a CPU since we last looked, close what it was doing before; its wait is
 * what the kernel has added. Return whether it has: a task that was preempted after it had set
 * itself to sleep is not counted as it arrives, so it seems not to have.
 */
inline_always bool take_arrival(struct task_slot *slot, u64 task, u64 *wait, bool interruptible)
{
	u64 delay = LOAD(task, TASK_RUN_DELAY);
	u32 pcount = (u32)LOAD(task, TASK_PCOUNT);

	if (pcount == slot->kernel_seen)
		return false;
	*wait = delay - slot->wait_ns;
	slot->wait_ns = delay;
	slot->kernel_seen = pcount;
	if (rarely(slot->tag & (SLOT_PRIMED | SLOT_YIELDED))) {
		u64 untimed = untimed_part(slot, task, *wait);

		origin_of(slot->tid)->run_delay += untimed;
		*wait -= untimed;
	}
	if (WITH_OFFCPU) {
		u64 arrival = to_ktime(LOAD(task, TASK_LAST_ARRIVAL));
		u32 tag = slot->tag;

		if (is_waiting(tag) && tag & SLOT_PRIMED)
			exclude_open_interval(slot, arrival);
		else if (is_blocked(tag))
			close_blocked(slot, tag, arrival - *wait, interruptible);
		else
			exclude_time_away(slot, tag, arrival - *wait, interruptible);
		slot->since = arrival;
	}
	slot->tag = SLOT_RUNNING;
	return true;
}

/* Count and stream a wait that has ended; `tag` is what the task was doing before. */
inline_always void count_wait(void *ctx, struct task_slot *slot, u32 tag, u64 wait)
{
	struct batch *batch = batch_of(STREAM_RUNQLAT);
	bool preempted = (tag & SLOT_STATE) == SLOT_PREEMPTED;
	u32 tid = slot->tid;

	if (rarely(!was_timed(tag))) {
		batch->in_flight += is_waiting(tag);
		origin_of(tid)->pcount++; /* an arrival that ended no wait we timed */
		return;
	}
	slot->waits++;
	if (preempted)
		slot->preempted_ns += wait;
	stream_wait(ctx, batch, tid, wait > LATENCY_MAX ? LATENCY_MAX : wait, preempted);
}

/* As a task exits, its last turn has not been switched out yet. */
inline_always void settle_exit(void *ctx, struct task_slot *slot, u64 task)
{
	u32 tag = slot->tag;
	u64 wait = 0;

	if (take_arrival(slot, task, &wait, true))
		count_wait(ctx, slot, tag, wait);
}

/* A task that waits for a CPU at the stop: what it did before ended when it was queued. */
inline_always void settle_waiting(struct task_slot *slot, u64 queued)
{
	u32 tag = slot->tag;

	if (is_blocked(tag))
		close_blocked(slot, tag, queued, true);
	else
		exclude_time_away(slot, tag, queued, true);
	slot->since = queued;
	if (!is_waiting(tag))
		slot->tag = SLOT_RUNNABLE;
}

/* The same at the stop, for every living task; a wait that is still open is in flight. */
inline_always void settle_stop(struct task_slot *slot, u64 task)
{
	u32 tag = slot->tag;
	u64 wait = 0;

	if (LOAD(task, TASK_ON_CPU)) {
		if (take_arrival(slot, task, &wait, true) && was_timed(tag))
			slot->waits++;
		return;
	}

	u64 queued = LOAD(task, TASK_LAST_QUEUED);
	/* a wait that switches show has its beginning; without `offcpu` none is kept */
	bool known = is_waiting(tag) && (WITH_OFFCPU || tag & SLOT_PRIMED);

	if (LOAD(task, TASK_STATE) == 0 && queued != 0 && !known && !(tag & SLOT_YIELDED))
		settle_waiting(slot, to_ktime(queued));
}

#endif
