/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * A task's turn on a CPU, timed by the clock: what its beginning ends (a wait), and what its end
 * begins (a wait or a block).
 */
#pragma once
#include "accounts.h"

#if !TIMING_ACCOUNTING && WITH_TASK_TIMES

/*
 * A turn whose beginning was not seen. Of the time since the last event, `waited` was run-queue
 * time, which is excluded; if that is not known, neither is the task's time on the CPU.
 */
inline_always void turn_began_unseen(struct task_slot *slot, u32 tag, u64 waited)
{
	struct task_origin *origin = origin_of(slot->tid);

	if (is_blocked(tag) || is_away(tag) || waited == 0 || waited > slot->oncpu_ns) {
		origin->turns_unseen++;
		return;
	}
	slot->oncpu_ns -= waited;
	if (origin->born_ns != 0)
		origin->born_ns += waited;
}

/* A turn whose end was not seen, and the wait after it: where one became the other is unknown. */
inline_always void turn_ended_unseen(struct task_slot *slot, u64 now)
{
	slot->oncpu_ns += now - slot->since;
	origin_of(slot->tid)->turns_unseen++;
}

/* Add what the owner of the slot did until it was switched out. */
inline_always void end_turn(struct task_slot *slot, u64 now)
{
	if (rarely(is_blocked(slot->tag)))
		woken_unseen(slot, now);
	else if (rarely(is_away(slot->tag)))
		exclude_time_away(slot, slot->tag, now);
	else
		slot->oncpu_ns += now - slot->since;
}

/* What a task does once it is switched out. */
inline_always u32 switched_out_tag(u64 prev, bool runnable, u32 state)
{
	if (runnable)
		return runnable_tag(prev, SLOT_PREEMPTED);
	if (!WITH_OFFCPU)
		return SLOT_RUNNING | SLOT_DEQUEUE_DELAYED; /* this run does not time blocks */
	return blocked_tag(prev, state) | dequeue_delayed(prev);
}

inline_always void switched_out(void *ctx, u64 prev, bool runnable, u32 state, u64 now)
{
	if (!WITH_OFFCPU && !runnable && !dequeue_delayed(prev))
		return;

	u32 tid = LOAD32(prev, TASK_PID);
	struct task_slot *slot = slot_of(tid);

	/* tid 0 is the idle task of every CPU at once */
	if (tid == 0 || !in_scope_by_slot(slot, tid))
		return;

	if (rarely(slot->tid != tid))
		take_slot(slot, tid, 0);
	else if (WITH_OFFCPU)
		end_turn(slot, now);

	u32 tag = switched_out_tag(prev, runnable, state);

	if (is_blocked(tag))
		wait_began(ctx, tid, now);

	u32 waited = discount_unseen_waits(slot, prev);

	if (WITH_OFFCPU && rarely((slot->tag & SLOT_STATE) != SLOT_RUNNING))
		turn_began_unseen(slot, slot->tag, waited);
	enter_state(slot, tag, now);
}

/*
 * Whether `next` comes from a wait whose beginning is known. If not, count that, and settle what
 * the slot says instead.
 */
inline_always bool wait_is_timed(struct batch *batch, struct task_slot *slot, u32 tid, u64 now)
{
	u32 tag = slot->tag;

	if (rarely(slot->tid != tid)) {
		batch->unmatched++;
		take_slot(slot, tid, 0);
		return false;
	}
	if (rarely(!is_waiting(tag))) {
		if (tag & SLOT_YIELDED) {
			close_blocked(slot, tag, now);
			origin_of(tid)->pcount++; /* an arrival that ended no wait */
			return false;
		}
		/*
		 * Before 6.12.33 prev_state could be stale for a task with a signal pending: it seemed
		 * to go to sleep but did not, and no wakeup follows.
		 */
		if (is_blocked(tag))
			woken_unseen(slot, now);
		else if (is_away(tag))
			exclude_time_away(slot, tag, now);
		else
			turn_ended_unseen(slot, now);
		batch->unmatched++;
		return false;
	}
	if (rarely(tag & SLOT_PRIMED)) {
		exclude_open_interval(slot, now);
		batch->in_flight++;
		origin_of(tid)->pcount++; /* an arrival that ended no wait we timed */
		return false;
	}
	return true;
}

/* Add a wait to the task's account, and stream it. */
inline_always void count_wait(void *ctx, struct batch *batch, struct task_slot *slot, u32 tag,
			      u64 next, u64 ns)
{
	bool preempted = (tag & SLOT_STATE) == SLOT_PREEMPTED;

	slot->wait_ns += ns;
	slot->waits++;
	if (preempted)
		slot->preempted_ns += ns;
	compare_wait(slot, tag, next, ns);
	if (rarely(tag & SLOT_REMOTE))
		origin_of(slot->tid)->remote_waits++;
	stream_wait(ctx, batch, slot->tid, ns, preempted);
}

inline_always void switched_in(void *ctx, u64 next, u64 now)
{
	struct batch *batch = batch_of(STREAM_RUNQLAT);
	u32 tid = LOAD32(next, TASK_PID);

	batch->seen++;
	if (tid == 0)
		return;

	struct task_slot *slot = slot_of(tid);

	if (!in_scope_by_slot(slot, tid)) {
		batch->excluded++;
		cache_current_scope(next, CURRENT_OUT_OF_SCOPE);
		return;
	}
	cache_current_scope(next, CURRENT_IN_SCOPE);

	u32 tag = slot->tag;
	u64 since = slot->since;
	bool timed = wait_is_timed(batch, slot, tid, now);

	enter_state(slot, SLOT_RUNNING, now);
	if (rarely(!timed))
		discount_untimed_wait(slot, next);
	else
		count_wait(ctx, batch, slot, tag, next, latency(batch, now, since));
}

#endif
