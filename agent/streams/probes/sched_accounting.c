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

/*
 * If the task has come to a CPU since we last looked: close what it was doing before. Its wait
 * is what the kernel has added. Returns whether it has; a task that was preempted after it had
 * set itself to sleep arrives without the kernel telling, so it has not.
 */
inline_always bool take_arrival(struct task_slot *slot, u64 task, u64 *wait)
{
	u64 delay = LOAD64(task, TASK_RUN_DELAY);
	u32 pcount = (u32)LOAD64(task, TASK_PCOUNT);

	if (pcount == slot->pcount)
		return false;
	*wait = delay - slot->wait_ns;
	slot->wait_ns = delay;
	slot->pcount = pcount;
#if WITH_OFFCPU
	u64 arrival = to_ktime(LOAD64(task, TASK_LAST_ARRIVAL));
	u32 tag = slot->tag;

	if (is_blocked(tag))
		close_blocked(slot, tag, arrival - *wait);
	else
		leave_out_stop(slot, tag, arrival - *wait);
	slot->since = arrival;
#endif
	slot->tag = SLOT_RUNNING;
	return true;
}

/* Count and stream a wait that has ended; `tag` is what the task was doing before. */
inline_always void count_wait(void *ctx, struct task_slot *slot, u32 tag, u64 wait)
{
	struct batch *batch = batch_of(STREAM_RUNQLAT);
	u32 state = tag & SLOT_STATE;
	u32 tid = slot->tid;

	if (tag & SLOT_PRIMED && (state == SLOT_RUNNABLE || state == SLOT_PREEMPTED)) {
		batch->in_flight++;
		origin_of(tid)->pcount++; /* an arrival that is not among our waits */
		return;
	}
	slot->waits++;
	if (state == SLOT_PREEMPTED)
		slot->preempted_ns += wait;
#if WITH_RUNQLAT
	u64 *event = event_room(ctx, batch, 1);

	if (!event)
		return;
	*event = (wait > LATENCY_MAX ? LATENCY_MAX : wait) | (u64)tid << LATENCY_BITS |
		 (u64)(state == SLOT_PREEMPTED) << EVENT_PREEMPTED_BIT;
	event_done(batch, 1);
#endif
}

int on_sched_switch(u64 *ctx)
{
	u64 prev = ctx[SWITCH_PREV];
	struct batch *batch = batch_of(STREAM_RUNQLAT);
	u32 tid = LOAD32(prev, TASK_PID);

	batch->seen++;
	if (tid == 0)
		return 0;

	struct task_slot *slot = slot_of(tid);

	if (!is_in_scope(slot, tid)) {
		if (!is_worker_in_scope(prev)) {
			batch->excluded++;
			return 0;
		}
		*member(tid) = 1;
	}
#ifdef SWITCH_PREV_STATE
	u32 state = (u32)ctx[SWITCH_PREV_STATE];
#else
	u32 state = LOAD32(prev, TASK_STATE);
#endif
	bool runnable = (bool)ctx[0] || state == 0;

	if (slot->tid != tid) {
		if (LOAD32(prev, TASK_FLAGS) & PF_EXITING)
			return 0; /* its account was closed, and goes on being a task for a while */
		take_slot(slot, tid, 0);
		adopt(slot, prev);
		batch->unmatched++;
		slot->tag = runnable ? SLOT_PREEMPTED : SLOT_STOPPED;
		return 0;
	}

	u32 tag = slot->tag;
	u64 wait = 0;
	bool arrived = take_arrival(slot, prev, &wait);

#if WITH_OFFCPU
	u64 runtime = LOAD64(prev, TASK_RUNTIME);

	slot->since += runtime - slot->oncpu_ns;
	slot->oncpu_ns = runtime;
	slot->tag = runnable ? SLOT_PREEMPTED : blocked_tag(prev, state);
#if WITH_WAIT_FUNCTIONS
	if (is_blocked(slot->tag))
		wait_began(ctx, tid, slot->since);
#endif
#else
	slot->tag = runnable ? SLOT_PREEMPTED : SLOT_STOPPED;
#endif
	if (arrived)
		count_wait(ctx, slot, tag, wait);
	return 0;
}

/*
 * As a task exits, its last turn has not been switched out yet. The exit's program writes to
 * the same stream as the switch's: no switch can come in between, preemption being off.
 */
inline_always void settle_exit(void *ctx, struct task_slot *slot, u64 task)
{
	u32 tag = slot->tag;
	u64 wait = 0;

	if (take_arrival(slot, task, &wait))
		count_wait(ctx, slot, tag, wait);
}

/* The same at the stop, for every task that lives; what it waits for is in flight. */
inline_always void settle_stop(struct task_slot *slot, u64 task)
{
	u64 wait = 0;

	if (LOAD32(task, TASK_ON_CPU)) {
		if (take_arrival(slot, task, &wait))
			slot->waits++;
	} else if (is_blocked(slot->tag) && LOAD32(task, TASK_STATE) == 0) {
		u64 woken = to_ktime(LOAD64(task, TASK_LAST_QUEUED));

		close_blocked(slot, slot->tag, woken);
		slot->since = woken;
		slot->tag = SLOT_RUNNABLE;
	}
}

#endif
