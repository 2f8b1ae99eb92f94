/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * A task's turn on a CPU, timed by the clock: what its beginning ends (a wait), and what its end
 * begins (a wait or a block).
 */
#pragma once
#include "accounts.h"

#if !TIMING_ACCOUNTING && WITH_TASK_TIMES

/*
 * The end of a turn whose beginning was not seen: the slot says that the task is not on a CPU. How
 * much of the time since then was the turn is known only of a wait, by what the scheduler accounted.
 */
inline_always void end_unseen_turn(struct task_slot *slot, u64 task, u64 now, bool interruptible)
{
	u64 waited = discount_unseen_waits(slot, task);
	u64 open = now - slot->since;

	if (is_blocked(slot->tag)) {
		woken_unseen(slot, now, interruptible);
	} else if (is_away(slot->tag)) {
		exclude_time_away(slot, slot->tag, now, interruptible);
	} else if (is_waiting(slot->tag) && waited != 0 && waited < open) {
		exclude_open_interval(slot, slot->since + waited);
		add_turn(slot, open - waited);
	} else {
		exclude_open_interval(slot, now);
	}
	skip_turn(slot, task);
}

/* A turn whose end was not seen, and whatever followed it until now. */
inline_always void exclude_since_unseen_end(struct task_slot *slot, u64 task, u64 now)
{
	exclude_open_interval(slot, now);
	skip_turn(slot, task);
}

/* Add what the owner of the slot did until it is switched out. */
inline_always void end_turn(struct task_slot *slot, u64 prev, u64 now)
{
	if (!WITH_OFFCPU) {
		discount_unseen_waits(slot, prev);
	} else if (rarely((slot->tag & SLOT_STATE) != SLOT_RUNNING)) {
		end_unseen_turn(slot, prev, now, false);
	} else if (rarely(discount_unseen_waits(slot, prev))) {
		exclude_since_unseen_end(slot, prev, now);
	} else {
		struct run_queue *here = this_run_queue();

		add_turn(slot, now - slot->since);
		compare_turn(slot, here, prev, now);
		if (rarely(here->wait_unexplained_ns))
			explain_wait(slot, here, prev, now);
	}
}

/*
 * A task exits: its last turn is still open. If its beginning was not seen, or if it is not the
 * turn that was seen to begin, the account ends here and a turn of no length is open.
 */
inline_always void settle_exit(void *ctx, struct task_slot *slot, u64 task)
{
	bool seen = !WITH_OFFCPU || (slot->tag & SLOT_STATE) == SLOT_RUNNING;

	if (seen && (discount_unseen_waits(slot, task) == 0 || !WITH_OFFCPU))
		return;

	u64 now = bpf_ktime_get_ns();

	if (seen)
		exclude_since_unseen_end(slot, task, now);
	else
		end_unseen_turn(slot, task, now, true);
	enter_state(slot, SLOT_RUNNING, now);
	note_arrival(this_run_queue(), task, now);
}

/* A task is woken, or comes to a CPU, that was not seen leaving it. */
inline_always void woken_from_unseen_sleep(struct task_slot *slot, u64 task, u64 now)
{
	discount_unseen_waits(slot, task);
	exclude_since_unseen_end(slot, task, now);
	if (WITH_OFFCPU && run_config()->primed)
		counters()->blocked_unmatched++;
}

/*
 * By how much earlier the scheduler dates the end of a turn that a preemption ends, in µs: with lazy
 * preemption (since 6.13) the wakeup that causes it may be as old as the last tick, and the clock
 * is not renewed at the switch. Only tasks of the fair class have the time as they arrived. Of a
 * turn that began before the run we do not know how long it took.
 */
inline_always u32 ended_early_us(const struct task_slot *slot, u64 prev, u64 now)
{
	u64 theirs = LOAD(prev, TASK_RUNTIME) - LOAD(prev, TASK_PREV_RUNTIME);
	s64 early = now - slot->since - theirs;
	u32 state = slot->tag & (SLOT_STATE | SLOT_PRIMED);

	if (rarely(state == (SLOT_RUNNING | SLOT_PRIMED)))
		return EARLY_UNKNOWN;
	if (state != SLOT_RUNNING || early < 0 || early >= EARLY_UNKNOWN * 1000)
		return 0;
	return (u64)early / 1000;
}

/* What a task does once it is switched out. */
inline_always u32 switched_out_tag(const struct task_slot *slot, u64 prev, bool runnable, u32 state,
				   u64 now)
{
	if (runnable) {
		u32 tag = runnable_tag(prev, SLOT_PREEMPTED);

		return tag == SLOT_PREEMPTED ? tag | ended_early_us(slot, prev, now) << SLOT_REASON_SHIFT :
					       tag;
	}
	return blocked_tag(prev, state) | dequeue_delayed(prev);
}

/*
 * In a run that does not time blocks: a task goes to sleep and stays on the run queue for now. Half
 * of the switches of a ping-pong are such, so nothing but the flag is noted.
 */
inline_always void note_delayed_dequeue(u64 prev, u64 now)
{
	u32 tid = LOAD(prev, TASK_PID);
	struct task_slot *slot = slot_of(tid);

	if (rarely(slot->tid != tid))
		return; /* not in scope, or its account begins with its wakeup */
	discount_unseen_waits(slot, prev);
	enter_state(slot, SLOT_RUNNING | SLOT_DEQUEUE_DELAYED, now);
}

inline_always void switched_out(void *ctx, u64 prev, bool runnable, u32 state, u64 now)
{
	if (!WITH_OFFCPU && !runnable) {
		if (dequeue_delayed(prev))
			note_delayed_dequeue(prev, now);
		return;
	}

	u32 tid = LOAD(prev, TASK_PID);
	struct task_slot *slot = slot_of(tid);

	/* tid 0 is the idle task of every CPU at once */
	if (tid == 0 || !in_scope_by_slot(slot, tid))
		return;

	if (rarely(slot->tid != tid))
		take_slot(slot, tid, 0);
	else
		end_turn(slot, prev, now);

	u32 tag = switched_out_tag(slot, prev, runnable, state, now);

	if (is_blocked(tag))
		wait_began(ctx, tid, now);
	enter_state(slot, tag, now);
}

/* An arrival that ends no wait we timed. The scheduler counts it if it had queued the task. */
inline_always void count_untimed_arrival(u64 next, u32 tid)
{
	if (LOAD(next, TASK_LAST_QUEUED))
		origin_of(tid)->pcount++;
}

/*
 * Whether `next` comes from a wait whose beginning is known. If not, count that, and settle what
 * the slot says instead.
 */
inline_always bool wait_is_timed(struct batch *batch, struct task_slot *slot, u64 next, u32 tid,
				 u64 now)
{
	u32 tag = slot->tag;

	if (rarely(slot->tid != tid)) {
		count_unmatched(batch);
		take_slot(slot, tid, 0);
		return false;
	}
	if (rarely(!is_waiting(tag))) {
		if (tag & SLOT_YIELDED) {
			close_blocked(slot, tag, now, false);
			count_untimed_arrival(next, tid);
			return false;
		}
		/*
		 * Before 6.12.33 prev_state could be stale for a task with a signal pending: it seemed
		 * to go to sleep but did not, and no wakeup follows.
		 */
		if (is_blocked(tag))
			woken_unseen(slot, now, false);
		else if (is_away(tag))
			exclude_time_away(slot, tag, now, false);
		else
			exclude_since_unseen_end(slot, next, now);
		count_unmatched(batch);
		return false;
	}
	if (rarely(tag & SLOT_PRIMED)) {
		exclude_open_interval(slot, now);
		batch->in_flight++;
		count_untimed_arrival(next, tid);
		return false;
	}
	return true;
}

/* Add a wait to the task's account, and stream it. */
inline_always void count_wait(void *ctx, struct batch *batch, struct task_slot *slot,
			      struct run_queue *here, u32 tag, u64 next, u64 ns)
{
	bool preempted = (tag & SLOT_STATE) == SLOT_PREEMPTED;

	slot->wait_ns += ns;
	slot->waits++;
	if (preempted)
		slot->preempted_ns += ns;
	compare_wait(slot, here, tag, next, ns);
	stream_wait(ctx, batch, slot->tid, ns, preempted);
}

inline_always void switched_in(void *ctx, u64 next, u64 now)
{
	/* once: the compiler takes it for a call, and keeps fewer values in registers across it */
	u32 cpu = bpf_get_smp_processor_id();
	struct batch *batch = batch_on(cpu, STREAM_RUNQLAT);
	struct run_queue *here = run_queue(cpu);
	u32 tid = LOAD(next, TASK_PID);

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
	bool timed = wait_is_timed(batch, slot, next, tid, now);

	enter_state(slot, SLOT_RUNNING, now);
	if (WITH_TURN_ACCOUNT)
		note_arrival(here, next, now);
	if (rarely(!timed))
		discount_untimed_wait(slot, here, next);
	else
		count_wait(ctx, batch, slot, here, tag, next, latency(batch, now, since));
}

#endif
