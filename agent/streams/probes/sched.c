/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Run-queue latency (streamed) and blocked time (summed), both also per task.
 *
 * A task is runnable from its wakeup, or from being switched out while still runnable, until it is
 * switched in; after any other switch-out it is blocked until its wakeup. So the two never
 * overlap. Events of one task are ordered by its run queue's lock, even when they happen on
 * different CPUs, so its slot needs no atomics.
 */
#include "turns.h"

#if !TIMING_ACCOUNTING && WITH_TASK_TIMES

int on_sched_switch(u64 *ctx)
{
	u64 prev = ctx[SWITCH_PREV], next = ctx[SWITCH_NEXT];

#if SCOPED
	/* Most switches of the machine do not concern the run: do not even read the clock. */
	if (!in_scope(LOAD(prev, TASK_PID)) && !in_scope(LOAD(next, TASK_PID))) {
		struct batch *batch = batch_of(STREAM_RUNQLAT);

		batch->seen++;
		batch->excluded++;
		return 0;
	}
#endif
	u64 now = bpf_ktime_get_ns();
	u32 state = switched_out_state(ctx, prev);

	switched_out(ctx, prev, stays_runnable(ctx, state), state, now);
	if (WITH_LAST_SWITCH && rarely(state & TASK_DEAD))
		leave_for_good(LOAD(prev, TASK_PID));
	switched_in(ctx, next, now);
#if MEASURES_WALL
	wall_switch(prev, next, stays_runnable(ctx, state), state, now);
#endif
	return 0;
}

/* Add what the owner of the slot did until it was woken. */
inline_always void end_sleep(struct task_slot *slot, u64 task, u32 tag, u64 now)
{
	if (!WITH_OFFCPU) {
		if (!(tag & SLOT_DEQUEUE_DELAYED))
			discount_unseen_waits(slot, task);
	} else if (is_blocked(tag)) {
		close_blocked(slot, tag, now, false);
	} else if (rarely((tag & SLOT_STATE) == SLOT_RUNNING)) {
		woken_from_unseen_sleep(slot, task, now);
	} else {
		exclude_time_away(slot, tag, now, false);
	}
}

/*
 * sched_wakeup and sched_wakeup_new. `current` is the waker; the event is about WAKEUP_TASK.
 * A task woken while it still runs (it had set itself to sleep, but has not left yet) waits for
 * nothing: on_cpu is stable here, since both paths to this tracepoint hold the run queue's lock.
 */
_Static_assert(WAKEUP_TASK == WAKEUP_NEW_TASK, "one program for both");

int on_sched_wakeup(u64 *ctx)
{
	u64 task = ctx[WAKEUP_TASK];

	if (LOAD(task, TASK_ON_CPU))
		return 0;

	u32 tid = LOAD(task, TASK_PID);
	struct task_slot *slot = slot_of(tid);

	if (!in_scope_by_slot(slot, tid))
		return 0;

	u32 tag = slot->tag;
	bool own = slot->tid == tid;
#if MEASURES_WALL
	u32 left_as = own ? tag : SLOT_RUNNING;
#endif

	if (own && rarely(is_waiting(tag))) {
		/* Preempted on its way to sleep, and woken before it got there: it still waits. */
		if ((tag & SLOT_STATE) == SLOT_PREEMPTED && !has_run(slot, task))
			return 0;
		/* It has run since, and gone to sleep, unseen; what it did until now is not known. */
		tag = SLOT_RUNNING;
	}

	u64 now = bpf_ktime_get_ns();

	if (rarely(!own))
		take_slot(slot, tid, 0);
	else
		end_sleep(slot, task, tag, now);
	tag = SLOT_RUNNABLE | (tag & SLOT_DEQUEUE_DELAYED);
	enter_state(slot, tag, now);
#if MEASURES_WALL
	wall_woken(task, tid, left_as, now, 0);
#endif
	return 0;
}

#endif
