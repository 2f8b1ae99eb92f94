/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The same as sched.c, with neither a clock nor wakeups: the scheduler itself keeps each task's
 * run-queue delay, last arrival and CPU time (CONFIG_SCHED_INFO). At switch-out these say how long
 * the task waited for this turn, how long it ran, and so how long it had been blocked before.
 * Resolution: about 1 µs per wait, that of rq_clock (kernel/sched/stats.h).
 *
 * What a slot's fields hold in this mode, and the steps from one arrival to the next: timing.h.
 */
#include "timing.h"

#if TIMING_ACCOUNTING && WITH_TASK_TIMES

/* A task without a slot: its totals so far are not part of this run. */
inline_always void adopt(struct batch *batch, struct task_slot *slot, u64 task, u32 tid,
			 bool runnable)
{
	if (LOAD(task, TASK_FLAGS) & PF_EXITING)
		return; /* its account was closed; the task exists for a while longer */
	take_slot(slot, tid, 0);
	slot->wait_ns = LOAD(task, TASK_RUN_DELAY);
	slot->oncpu_ns = LOAD(task, TASK_RUNTIME);
	slot->kernel_seen = (u32)LOAD(task, TASK_PCOUNT);
	count_unmatched(batch);
	slot->tag = runnable ? SLOT_PREEMPTED : SLOT_ABSENT;
}

/* The turn is over: add it to the sums, and note what the task does from here on. */
inline_always void end_turn(u64 *ctx, struct task_slot *slot, u64 prev, u32 state)
{
	bool runnable = stays_runnable(ctx, state);

	if (!WITH_OFFCPU) {
		slot->tag = runnable ? runnable_tag(prev, SLOT_PREEMPTED) : SLOT_ABSENT;
		return;
	}

	u64 runtime = LOAD(prev, TASK_RUNTIME);

	slot->since += runtime - slot->oncpu_ns;
	slot->oncpu_ns = runtime;
	slot->tag = runnable ? runnable_tag(prev, SLOT_PREEMPTED) : blocked_tag(prev, state);
	if (is_blocked(slot->tag))
		wait_began(ctx, slot->tid, slot->since);
}

int on_sched_switch(u64 *ctx)
{
	u64 prev = ctx[SWITCH_PREV];
	struct batch *batch = batch_of(STREAM_RUNQLAT);
	u32 tid = LOAD(prev, TASK_PID);
#if MEASURES_WALL
	u64 next = ctx[SWITCH_NEXT];

	if (wall_concerns(prev) || wall_concerns(next)) {
		u32 left_in = switched_out_state(ctx, prev);

		wall_switch(prev, next, stays_runnable(ctx, left_in), left_in, bpf_ktime_get_ns());
	}
#endif

	batch->seen++;
	if (tid == 0)
		return 0;

	struct task_slot *slot = slot_of(tid);

	if (!in_scope_by_slot(slot, tid)) {
		batch->excluded++;
		return 0;
	}

	u32 state = switched_out_state(ctx, prev);

	if (slot->tid != tid) {
		adopt(batch, slot, prev, tid, stays_runnable(ctx, state));
		return 0;
	}

	u32 tag = slot->tag;
	u64 wait = 0;
	bool arrived = take_arrival(slot, prev, &wait, false);

	end_turn(ctx, slot, prev, state);
	if (arrived)
		count_wait(ctx, slot, tag, wait);
	return 0;
}

#if MEASURES_WALL
/* The accounting needs no wakeups, but the wall time does (sched.c says why on_cpu is looked at). */
int on_sched_wakeup(u64 *ctx)
{
	u64 task = ctx[WAKEUP_TASK];
	u32 tid = LOAD(task, TASK_PID);
	struct task_slot *slot = slot_of(tid);

	if (!LOAD(task, TASK_ON_CPU) && wall_concerns(task))
		wall_woken(task, tid, slot->tid == tid ? slot->tag : SLOT_RUNNING, bpf_ktime_get_ns(),
			   0);
	return 0;
}
#endif

#endif
