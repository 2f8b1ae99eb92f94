/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The life of a slot: who owns it, and what its sums have come to. */
#pragma once
#include "batch.h"
#include "blocked.h"
#include "sections/offcpu/wait_functions.h"

inline_always struct task_origin *origin_of(u32 tid)
{
	return (struct task_origin *)(MAP_VALUE(ORIGINS_FD) +
				      (tid & SLOT_MASK) * sizeof(struct task_origin));
}

/*
 * The same as in_scope(), of a task whose slot is at hand: only tasks in scope own one, so where
 * most are, the members need not be looked at.
 */
inline_always bool is_in_scope(const struct task_slot *slot, u32 tid)
{
	return (!SCOPED && (WITH_RUNQLAT || WITH_OFFCPU) && !rarely(slot->tid != tid)) ||
	       in_scope(tid);
}

/* Whoever is out of scope owns no slot. */
inline_always void disown(u32 tid)
{
	struct task_slot *slot = slot_of(tid);

	if (slot->tid != tid)
		return;
	slot->tid = 0;
	slot->tag = SLOT_RUNNING;
}

/* Another task owned this slot; what it was waiting for cannot be told any more. */
inline_always void count_displaced(struct task_slot *slot)
{
	u32 state = slot->tag & SLOT_STATE;

	if (is_blocked(slot->tag))
		counters()->blocked_collided++;
	else if (state == SLOT_RUNNABLE || state == SLOT_PREEMPTED)
		batch_of(STREAM_RUNQLAT)->collided++;
	if (slot->tid != 0 && origin_of(slot->tid)->born_ns != 0)
		batch_of(STREAM_EXIT)->collided++;
}

inline_always void begin_account(struct task_slot *slot, u32 tid, u64 born)
{
	slot->wait_ns = 0;
	slot->preempted_ns = 0;
	slot->oncpu_ns = 0;
	slot->blocked_ns = 0;
	slot->apart_ns = 0;
	slot->waits = 0;
	slot->run_delay = 0;
	origin_of(tid)->born_ns = born;
	origin_of(tid)->slept_us = 0;
	origin_of(tid)->remote_waits = 0;
	origin_of(tid)->turns_unseen = 0;
}

/* What is no part of a task's account: as if it had been born later. */
inline_always void leave_out(struct task_slot *slot, u64 until)
{
	struct task_origin *origin = origin_of(slot->tid);

	if (origin->born_ns != 0)
		origin->born_ns += until - slot->since;
}

/* Time spent stopped, by a signal or a tracer, is none of ours. */
inline_always void leave_out_stop(struct task_slot *slot, u32 tag, u64 until)
{
	if (rarely((tag & SLOT_STATE) == SLOT_STOPPED))
		leave_out(slot, until);
}

/* Make the slot this task's own. `born` is 0 where its sums do not cover its life so far. */
inline_always void take_slot(struct task_slot *slot, u32 tid, u64 born)
{
	count_displaced(slot);
	begin_account(slot, tid, born);
	slot->tid = tid;
}

/* A task that is not older than this moment: all of its sums are ours. */
inline_always void begin_life(u32 tid, u64 now)
{
	struct task_slot *slot = slot_of(tid);
	struct task_origin *origin = origin_of(tid);

	take_slot(slot, tid, now);
	slot->tag = SLOT_STOPPED; /* until wake_up_new_task() */
	slot->since = now;
	origin->run_delay = 0;
	origin->runtime = 0;
	origin->pcount = 0;
}

inline_always void close_blocked(struct task_slot *slot, u32 tag, u64 now)
{
	struct cpu_counters *c = counters();
	u32 reason = tag >> SLOT_REASON_SHIFT;
	u32 uninterruptible = (tag & SLOT_STATE) == SLOT_UNINTERRUPTIBLE;
	s64 ns = now - slot->since;

	if (reason >= REASONS)
		reason = REASON_UNKNOWN;
	if (rarely(ns < 0)) {
		c->blocked_clamped++;
		ns = 0;
	}

	struct interval_sum *sum = &c->blocked[uninterruptible][reason];

	sum->ns += ns;
	sum->count++;
	slot->blocked_ns += ns;
#if WITH_WAIT_FUNCTIONS
	wait_ended(slot->tid, ns);
#endif
}

#if WITH_RUNQLAT || WITH_OFFCPU
/* Moved to another cgroup: what it sleeps from now on is no part of this run. */
inline_always void leave_scope(u32 tid)
{
	struct task_slot *slot = slot_of(tid);

	if (slot->tid != tid)
		return;
	if (is_blocked(slot->tag))
		close_blocked(slot, slot->tag, bpf_ktime_get_ns());
	disown(tid);
}

/* Here again although nobody saw it being woken: blocked until now, but for a moment. */
inline_always void woken_unseen(struct task_slot *slot, u64 now)
{
	counters()->wakeup_unseen++;
	close_blocked(slot, slot->tag, now);
}

/* A thread that execs goes on under the number of its leader, and its account with it. */
inline_always void move_slot(u32 from, u32 to)
{
	struct task_slot moved = *slot_of(from);

	if (moved.tid != from)
		return;
	disown(from);
	if (slot_of(to)->tid != to)
		count_displaced(slot_of(to));
	moved.tid = to;
	*slot_of(to) = moved;
	*origin_of(to) = *origin_of(from);
}

/* The kernel's own account of a task, less what it was when ours began. */
inline_always void summarize_task(struct task_summary *summary, u64 task, struct task_slot *slot, u64 now)
{
	struct task_origin *origin = origin_of(slot->tid);
	u32 tag = slot->tag;
	u32 state = tag & SLOT_STATE;
	s64 open = now - slot->since;

	if (open < 0)
		open = 0;
	summary->tid = slot->tid;
	summary->tgid = LOAD32(task, TASK_TGID);
	summary->state = state;
	summary->kernel_thread = (LOAD32(task, TASK_FLAGS) & PF_KTHREAD) != 0;
	summary->now_ns = now;
	summary->born_ns = origin->born_ns;
#if TIMING_ACCOUNTING
	summary->wait_ns = slot->wait_ns - origin->run_delay;
#else
	summary->wait_ns = slot->wait_ns;
#endif
	summary->preempted_ns = slot->preempted_ns;
#if TIMING_ACCOUNTING
	summary->oncpu_ns = slot->oncpu_ns - origin->runtime;
#else
	summary->oncpu_ns = slot->oncpu_ns;
#endif
	summary->blocked_ns = slot->blocked_ns;
	summary->open_ns = open;
	summary->waits = slot->waits;
	if (state == SLOT_STOPPED && origin->born_ns != 0)
		summary->born_ns += open;
	else if (state == SLOT_RUNNING)
		summary->oncpu_ns += open;
	else if (is_blocked(tag))
		summary->blocked_ns += open;
	summary->kernel_run_delay = LOAD64(task, TASK_RUN_DELAY) - origin->run_delay;
	summary->kernel_runtime =
		origin->turns_unseen ? RUNTIME_UNKNOWN : LOAD64(task, TASK_RUNTIME) - origin->runtime;
	summary->kernel_pcount = (u32)LOAD64(task, TASK_PCOUNT) - origin->pcount;
	summary->slept_us = origin->slept_us;
	summary->remote_waits = origin->remote_waits;
	summary->apart_ns = slot->apart_ns;
	*(u64 *)&summary->comm[0] = LOAD64(task, TASK_COMM);
	*(u64 *)&summary->comm[8] = LOAD64(task, TASK_COMM + 8);
}
#endif
