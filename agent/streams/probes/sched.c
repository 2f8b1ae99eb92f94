/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Run-queue latency (streamed) and blocked time (summed), both also by task.
 *
 * A task is runnable from its wakeup, or from being switched out while it could go on, until
 * it is switched in; it is blocked from being switched out otherwise until its wakeup. So the
 * two never overlap. Events of one task are ordered by its run queue's lock, even when they
 * happen on different CPUs, so its slot needs no atomics.
 */
#include "accounts.h"

#if !TIMING_ACCOUNTING && (WITH_RUNQLAT || WITH_OFFCPU)

/*
 * A turn whose beginning nobody saw: of the time since it was to begin, so much was waiting. That is no
 * part of the account; where it is not known, neither is the task's time on the CPU.
 */
inline_always void began_unseen(struct task_slot *slot, u32 tag, u64 waited)
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

/* A turn that ended without our seeing it, and the wait behind it: which is which is not known. */
inline_always void turn_ended_unseen(struct task_slot *slot, u64 now)
{
	slot->oncpu_ns += now - slot->since;
	origin_of(slot->tid)->turns_unseen++;
}

inline_always void switched_out(void *ctx, u64 prev, bool runnable, u32 state, u64 now)
{
#if !WITH_OFFCPU
	if (!runnable && !lingers(prev))
		return;
#endif
	u32 tid = LOAD32(prev, TASK_PID);

	struct task_slot *slot = slot_of(tid);
	u32 tag = SLOT_PREEMPTED;

	/* tid 0 is the idle task of every CPU at once */
	if (tid == 0 || !is_in_scope(slot, tid))
		return;

	if (rarely(slot->tid != tid))
		take_slot(slot, tid, 0);
#if WITH_OFFCPU
	else if (rarely(is_blocked(slot->tag)))
		woken_unseen(slot, now);
	else
		slot->oncpu_ns += now - slot->since;
	if (!runnable)
		tag = blocked_tag(prev, state) | lingers(prev);
#else
	if (!runnable)
		tag = SLOT_RUNNING | SLOT_LINGERED; /* blocks are none of this run's */
#endif
#if WITH_WAIT_FUNCTIONS
	if (is_blocked(tag))
		wait_began(ctx, tid, now);
#endif
	u32 waited = leave_out_unseen(slot, prev);

#if WITH_OFFCPU
	if (rarely((slot->tag & SLOT_STATE) != SLOT_RUNNING))
		began_unseen(slot, slot->tag, waited);
#endif
	slot->tag = tag;
	slot->since = now;
}

inline_always void switched_in(void *ctx, u64 next, u64 now)
{
	struct batch *batch = batch_of(STREAM_RUNQLAT);
	u32 tid = LOAD32(next, TASK_PID);

	batch->seen++;
	if (tid == 0)
		return;

	struct task_slot *slot = slot_of(tid);

	if (!is_in_scope(slot, tid)) {
		batch->excluded++;
		tell_current(next, CURRENT_OUT);
		return;
	}
	tell_current(next, CURRENT_IN);

	u32 tag = slot->tag;
	u32 state = tag & SLOT_STATE;
	u64 since = slot->since;

	if (rarely(slot->tid != tid)) {
		batch->unmatched++;
		take_slot(slot, tid, 0);
		state = SLOT_RUNNING;
	} else if (rarely(state != SLOT_RUNNABLE && state != SLOT_PREEMPTED)) {
		/* Before 6.12.33 prev_state could be stale for a task with a signal pending: what
		 * looked like going to sleep was not, and no wakeup follows. */
		if (is_blocked(tag))
			woken_unseen(slot, now);
		else
			turn_ended_unseen(slot, now);
		batch->unmatched++;
	} else if (rarely(tag & SLOT_PRIMED)) {
		leave_out(slot, now);
		batch->in_flight++;
		origin_of(tid)->pcount++; /* an arrival that is not among our waits */
		state = SLOT_RUNNING;
	}
	slot->tag = SLOT_RUNNING;
	slot->since = now;
	if (rarely(state != SLOT_RUNNABLE && state != SLOT_PREEMPTED)) {
		leave_out_wait(slot, next);
		return;
	}

	u64 ns = latency(batch, now, since);

	slot->wait_ns += ns;
	slot->waits++;
	if (state == SLOT_PREEMPTED)
		slot->preempted_ns += ns;
	compare_wait(slot, tag, next, ns);
	if (rarely(tag & SLOT_REMOTE))
		origin_of(tid)->remote_waits++;
#if WITH_RUNQLAT
	u64 *event = event_room(ctx, batch, 1);

	if (!event)
		return;
	*event = ns | (u64)tid << LATENCY_BITS | (u64)(state == SLOT_PREEMPTED) << EVENT_PREEMPTED_BIT;
	event_done(batch, 1);
#endif
}

int on_sched_switch(u64 *ctx)
{
	u64 prev = ctx[SWITCH_PREV], next = ctx[SWITCH_NEXT];

#if SCOPED
	/* Most of what happens is none of the run's business, and not worth a look at the clock. */
	if (!in_scope(LOAD32(prev, TASK_PID)) && !in_scope(LOAD32(next, TASK_PID))) {
		struct batch *batch = batch_of(STREAM_RUNQLAT);

		batch->seen++;
		batch->excluded++;
		return 0;
	}
#endif
	u64 now = bpf_ktime_get_ns();
#ifdef SWITCH_PREV_STATE
	u32 state = (u32)ctx[SWITCH_PREV_STATE];
#else
	u32 state = LOAD32(prev, TASK_STATE);
#endif

	/* A task preempted after it had set itself to sleep is still on the run queue. */
	bool runnable = (bool)ctx[0] || state == 0;

	switched_out(ctx, prev, runnable, state, now);
	switched_in(ctx, next, now);
	return 0;
}

/* On another CPU than it is to run on: with an interrupt to that one, sent before we are told. */
inline_always u32 woken_from_elsewhere(u64 task)
{
	return LOAD32(task, TASK_CPU) == bpf_get_smp_processor_id() ? 0 : SLOT_REMOTE;
}

/*
 * sched_wakeup and sched_wakeup_new. `current` is the waker; the event is about ctx[0].
 * A task woken while it still runs (it had set itself to sleep, and not gone yet) waits for
 * nothing: on_cpu is stable here, for both paths to this tracepoint hold the run queue's lock.
 */
int on_sched_wakeup(u64 *ctx)
{
	u64 task = ctx[0];

	if (LOAD32(task, TASK_ON_CPU))
		return 0;

	u32 tid = LOAD32(task, TASK_PID);
	struct task_slot *slot = slot_of(tid);

	if (!is_in_scope(slot, tid)) {
		if (!is_worker_in_scope(task))
			return 0;
		*member(tid) = 1;
		begin_life(tid, bpf_ktime_get_ns());
	}

	u32 tag = slot->tag;
	u32 state = tag & SLOT_STATE;
	bool own = slot->tid == tid;

	if (own && rarely(state == SLOT_PREEMPTED || state == SLOT_RUNNABLE)) {
		/* Preempted on its way to sleep, woken before it got there: waiting ever since. */
		if (state == SLOT_PREEMPTED && !has_run(slot, task))
			return 0;
		leave_out_unseen(slot, task);
		leave_out(slot, bpf_ktime_get_ns());
		tag = SLOT_RUNNING;
	}

	u64 now = bpf_ktime_get_ns();

	if (rarely(!own))
		take_slot(slot, tid, 0);
#if WITH_OFFCPU
	else if (is_blocked(tag))
		close_blocked(slot, tag, now);
	else
		leave_out_stop(slot, tag, now);
#else
	else if (!(tag & SLOT_LINGERED))
		leave_out_unseen(slot, task);
#endif
	slot->tag = SLOT_RUNNABLE | (tag & SLOT_LINGERED) | woken_from_elsewhere(task);
	slot->since = now;
	return 0;
}

#endif
