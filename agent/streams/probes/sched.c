/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Run-queue latency (streamed) and blocked time (summed), both also by task.
 *
 * A task is runnable from its wakeup, or from being switched out while it could go on, until it is
 * switched in; after any other switch-out it is blocked until its wakeup. So the two never
 * overlap. Events of one task are ordered by its run queue's lock, even when they happen on
 * different CPUs, so its slot needs no atomics.
 */
#include "accounts.h"

#if !TIMING_ACCOUNTING && WITH_TASK_TIMES

/*
 * A turn whose beginning was not seen. Of the time since the last event, `waited` was run-queue
 * time, which is excluded; if that is not known, neither is the task's time on the CPU.
 */
inline_always void turn_began_unseen(struct task_slot *slot, u32 tag, u64 waited)
{
	struct task_origin *origin = origin_of(slot->tid);

	if (is_blocked(tag) || waited == 0 || waited > slot->oncpu_ns) {
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
	else
		slot->oncpu_ns += now - slot->since;
}

/* What a task does once it is switched out. */
inline_always u32 switched_out_tag(u64 prev, bool runnable, u32 state)
{
	if (runnable)
		return SLOT_PREEMPTED;
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
	slot->tag = tag;
	slot->since = now;
}

inline_always bool is_waiting(u32 tag)
{
	u32 state = tag & SLOT_STATE;

	return state == SLOT_RUNNABLE || state == SLOT_PREEMPTED;
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
		/*
		 * Before 6.12.33 prev_state could be stale for a task with a signal pending: it seemed
		 * to go to sleep but did not, and no wakeup follows.
		 */
		if (is_blocked(tag))
			woken_unseen(slot, now);
		else
			turn_ended_unseen(slot, now);
		batch->unmatched++;
		return false;
	}
	if (rarely(tag & SLOT_PRIMED)) {
		exclude_open_interval(slot, now);
		batch->in_flight++;
		origin_of(tid)->pcount++; /* an arrival that ended no wait of ours */
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

	slot->tag = SLOT_RUNNING;
	slot->since = now;
	if (rarely(!timed))
		discount_untimed_wait(slot, next);
	else
		count_wait(ctx, batch, slot, tag, next, latency(batch, now, since));
}

int on_sched_switch(u64 *ctx)
{
	u64 prev = ctx[SWITCH_PREV], next = ctx[SWITCH_NEXT];

#if SCOPED
	/* Most switches of the machine do not concern the run: do not even read the clock. */
	if (!in_scope(LOAD32(prev, TASK_PID)) && !in_scope(LOAD32(next, TASK_PID))) {
		struct batch *batch = batch_of(STREAM_RUNQLAT);

		batch->seen++;
		batch->excluded++;
		return 0;
	}
#endif
	u64 now = bpf_ktime_get_ns();
	u32 state = switched_out_state(ctx, prev);

	switched_out(ctx, prev, stays_runnable(ctx, state), state, now);
	switched_in(ctx, next, now);
	return 0;
}

/* A flag of the tag: woken from another CPU, which was sent an interrupt before this tracepoint. */
inline_always u32 woken_from_elsewhere(u64 task)
{
	return LOAD32(task, TASK_CPU) == bpf_get_smp_processor_id() ? 0 : SLOT_REMOTE;
}

/* Add what the owner of the slot did until it was woken. */
inline_always void end_sleep(struct task_slot *slot, u64 task, u32 tag, u64 now)
{
	if (!WITH_OFFCPU) {
		if (!(tag & SLOT_DEQUEUE_DELAYED))
			discount_unseen_waits(slot, task);
	} else if (is_blocked(tag)) {
		close_blocked(slot, tag, now);
	} else {
		exclude_stopped_time(slot, tag, now);
	}
}

/*
 * sched_wakeup and sched_wakeup_new. `current` is the waker; the event is about ctx[0].
 * A task woken while it still runs (it had set itself to sleep, but has not left yet) waits for
 * nothing: on_cpu is stable here, since both paths to this tracepoint hold the run queue's lock.
 */
int on_sched_wakeup(u64 *ctx)
{
	u64 task = ctx[0];

	if (LOAD32(task, TASK_ON_CPU))
		return 0;

	u32 tid = LOAD32(task, TASK_PID);
	struct task_slot *slot = slot_of(tid);

	if (!in_scope_by_slot(slot, tid)) {
		if (!is_worker_in_scope(task))
			return 0;
		*member(tid) = 1;
		begin_life(tid, bpf_ktime_get_ns());
	}

	u32 tag = slot->tag;
	bool own = slot->tid == tid;

	if (own && rarely(is_waiting(tag))) {
		/* Preempted on its way to sleep, and woken before it got there: it still waits. */
		if ((tag & SLOT_STATE) == SLOT_PREEMPTED && !has_run(slot, task))
			return 0;
		/* It has run since, unseen; what it did until now is not known. */
		discount_unseen_waits(slot, task);
		exclude_open_interval(slot, bpf_ktime_get_ns());
		tag = SLOT_RUNNING;
	}

	u64 now = bpf_ktime_get_ns();

	if (rarely(!own))
		take_slot(slot, tid, 0);
	else
		end_sleep(slot, task, tag, now);
	slot->tag = SLOT_RUNNABLE | (tag & SLOT_DEQUEUE_DELAYED) | woken_from_elsewhere(task);
	slot->since = now;
	return 0;
}

#endif
