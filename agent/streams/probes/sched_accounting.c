/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The same as sched.c without a clock and without wakeups: the scheduler keeps each task's
 * run-queue delay, last arrival and CPU time itself (CONFIG_SCHED_INFO), and at switch-out they
 * tell how long the task waited for this turn, how long it ran, and so how long it had been
 * blocked before. Resolution: about 1 µs a wait, that of rq_clock (kernel/sched/stats.h).
 *
 * In this mode a slot's wait_ns and oncpu_ns hold the kernel's totals as last seen.
 */
#include "slots.h"

#if TIMING_ACCOUNTING && (WITH_RUNQLAT || WITH_OFFCPU)

/* rq_clock and bpf_ktime_get_ns() tick alike and differ by what the supervisor measured. */
inline_always u64 to_ktime(u64 rq_clock)
{
	return rq_clock - run_config()->clock_offset;
}

/* Begin to look at a task: what it has been charged so far is not this run's. */
inline_always void adopt(struct task_slot *slot, u64 task)
{
	slot->wait_ns = LOAD64(task, TASK_RUN_DELAY);
	slot->oncpu_ns = LOAD64(task, TASK_RUNTIME);
	slot->pcount = (u32)LOAD64(task, TASK_PCOUNT);
}

int on_sched_switch(u64 *ctx)
{
	u64 prev = ctx[SWITCH_PREV];
	struct batch *batch = batch_of(STREAM_RUNQLAT);
	u32 tid = LOAD32(prev, TASK_PID);

	batch->seen++;
	if (tid == 0)
		return 0;
	if (!in_scope(tid)) {
		batch->excluded++;
		return 0;
	}
#ifdef SWITCH_PREV_STATE
	u32 state = (u32)ctx[SWITCH_PREV_STATE];
#else
	u32 state = LOAD32(prev, TASK_STATE);
#endif
	bool runnable = (bool)ctx[0] || state == 0;
	struct task_slot *slot = slot_of(tid);
	u32 tag = slot->tag;

	if (slot->tid != tid) {
		if (state & TASK_GONE)
			return 0; /* its account was closed when it exited */
		take_slot(slot, tid, 0);
		adopt(slot, prev);
		batch->unmatched++;
		slot->tag = runnable ? SLOT_PREEMPTED : SLOT_STOPPED;
		return 0;
	}

	u64 delay = LOAD64(prev, TASK_RUN_DELAY);
	u32 pcount = (u32)LOAD64(prev, TASK_PCOUNT);
	u64 wait = delay - slot->wait_ns;
	bool arrived = pcount != slot->pcount;

	slot->wait_ns = delay;
	slot->pcount = pcount;
#if WITH_OFFCPU
	u64 runtime = LOAD64(prev, TASK_RUNTIME);
	u64 arrival = to_ktime(LOAD64(prev, TASK_LAST_ARRIVAL));
	u64 ran = runtime - slot->oncpu_ns;

	slot->oncpu_ns = runtime;
	if (is_blocked(tag))
		close_blocked(slot, tag, arrival - wait);
	else
		leave_out_stop(slot, tag, arrival - wait);
	slot->tag = runnable ? SLOT_PREEMPTED : blocked_tag(prev, state);
	slot->since = arrival + ran;
#if WITH_WAIT_FUNCTIONS
	if (is_blocked(slot->tag))
		wait_began(ctx, tid, slot->since);
#endif
#else
	slot->tag = runnable ? SLOT_PREEMPTED : SLOT_STOPPED;
#endif
	/* Not told of, as the kernel is not: preempted after it had set itself to sleep. */
	if (!arrived)
		return 0;
	if (tag & SLOT_PRIMED && (tag & SLOT_STATE) != SLOT_RUNNING && !is_blocked(tag)) {
		batch->in_flight++;
		return 0;
	}
	slot->waits++;
	if ((tag & SLOT_STATE) == SLOT_PREEMPTED)
		slot->preempted_ns += wait;
#if WITH_RUNQLAT
	u64 *event = event_room(ctx, batch, 1);

	if (!event)
		return 0;
	*event = (wait > LATENCY_MAX ? LATENCY_MAX : wait) | (u64)tid << LATENCY_BITS |
		 (u64)((tag & SLOT_STATE) == SLOT_PREEMPTED) << EVENT_PREEMPTED_BIT;
	event_done(batch, 1);
#endif
	return 0;
}

/*
 * At the stop, a task that has been woken and not been switched out again is still marked as
 * blocked: its wait ended when it was queued, or arrived.
 */
inline_always void settle(struct task_slot *slot, u64 task)
{
	u64 woken;

	if (!is_blocked(slot->tag) || LOAD32(task, TASK_STATE) != 0)
		return;
	if (LOAD32(task, TASK_ON_CPU))
		woken = to_ktime(LOAD64(task, TASK_LAST_ARRIVAL)) -
			(LOAD64(task, TASK_RUN_DELAY) - slot->wait_ns);
	else
		woken = to_ktime(LOAD64(task, TASK_LAST_QUEUED));
	close_blocked(slot, slot->tag, woken);
	slot->since = woken;
	slot->tag = LOAD32(task, TASK_ON_CPU) ? SLOT_RUNNING : SLOT_RUNNABLE;
}

#endif
