/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The life of a slot: which task owns it, and the intervals that are added to its sums.
 * docs/explanation/task-accounts.md says what the sums equal, and why.
 */
#pragma once
#include "batch.h"
#include "blocked.h"
#include "sections/offcpu/threads.h"
#include "sections/offcpu/wait_functions.h"
#include "sections/offcpu/wall.h"

inline_always struct task_origin *origin_of(u32 tid)
{
	return (struct task_origin *)(MAP_VALUE(ORIGINS_FD) +
				      (tid & SLOT_MASK) * sizeof(struct task_origin));
}

/*
 * The same as in_scope(), for a task whose slot is loaded anyway: only tasks in scope own slots, so
 * in a run of the whole machine the owner need not be looked up among the members.
 */
inline_always bool in_scope_by_slot(const struct task_slot *slot, u32 tid)
{
	return (!SCOPED && WITH_TASK_TIMES && !rarely(slot->tid != tid)) || in_scope(tid);
}

/*
 * An interval ends whose beginning was not seen. It began before the run, if what the task was doing
 * then has not been noted yet; otherwise its beginning was missed.
 */
inline_always void count_unmatched(struct batch *batch)
{
	if (run_config()->primed)
		batch->unmatched++;
	else
		batch->in_flight++;
}

inline_always bool is_waiting(u32 tag)
{
	u32 state = tag & SLOT_STATE;

	return state == SLOT_RUNNABLE || state == SLOT_PREEMPTED;
}

inline_always void enter_state(struct task_slot *slot, u32 tag, u64 now)
{
	slot->tag = tag;
	slot->since = now;
}

/* Free the slot of a task that is out of scope. */
inline_always void disown(u32 tid)
{
	struct task_slot *slot = slot_of(tid);

	if (slot->tid != tid)
		return;
	slot->tid = 0;
	slot->tag = SLOT_RUNNING;
}

/*
 * The last switch of a task. If the slot has an account, it is that of a new task with the same id:
 * the account of a task ends when its exit begins.
 */
inline_always void leave_for_good(u32 tid)
{
	if (slot_of(tid)->tid == tid && origin_of(tid)->born_ns != 0)
		return;
	*member(tid) = 0;
	disown(tid);
}

/* The slot is about to be taken from another task; its open interval is lost. */
inline_always void count_displaced(struct task_slot *slot)
{
	if (is_blocked(slot->tag))
		add_to(&counters()->blocked_collided, 1, true);
	else if (is_waiting(slot->tag))
		add_to(&batch_of(STREAM_RUNQLAT)->collided, 1, true);
	if (slot->tid != 0 && origin_of(slot->tid)->born_ns != 0)
		add_to(&batch_of(STREAM_EXIT)->collided, 1, true);
}

/* Reset the sums. `born` is 0 if they will not cover the task's life or the run. */
inline_always void begin_account(struct task_slot *slot, u32 tid, u64 born)
{
	slot->wait_ns = 0;
	slot->preempted_ns = 0;
	slot->oncpu_ns = 0;
	slot->blocked_ns = 0;
	slot->scheduler_excess_ns = 0;
	slot->waits = 0;
	slot->kernel_seen = 0;
	origin_of(tid)->born_ns = born;
	origin_of(tid)->sleep_as_wait_us = 0;
	origin_of(tid)->turn_excess_ns = 0;
	origin_of(tid)->reported = false;
}

/* Exclude the open interval from the task's account, as if it had been born that much later. */
inline_always void exclude_open_interval(struct task_slot *slot, u64 until)
{
	struct task_origin *origin = origin_of(slot->tid);

	if (origin->born_ns != 0)
		origin->born_ns += until - slot->since;
}

/* The end of a stop: add it to the CPU's sum for its kind. */
inline_always void count_stop(const struct task_slot *slot, u32 tag, u64 until, bool interruptible)
{
	u32 kind = tag >> SLOT_REASON_SHIFT;
	s64 ns = until - slot->since;

	if (ns < 0)
		ns = 0;
	add_interval(&counters()->stopped[kind & (STOP_KINDS - 1)], ns, interruptible);
	thread_stopped(slot->tid, ns, interruptible);
}

/* Time that a task was stopped, or not there, is neither a wait nor a block: exclude it. */
inline_always void exclude_time_away(struct task_slot *slot, u32 tag, u64 until,
				     bool interruptible)
{
	if (!rarely(is_away(tag)))
		return;
	exclude_open_interval(slot, until);
	if ((tag & SLOT_STATE) == SLOT_STOPPED)
		count_stop(slot, tag, until, interruptible);
}

inline_always void add_turn(struct task_slot *slot, u64 ns)
{
	slot->oncpu_ns += ns;
}

/* Make the task the owner of the slot, with empty sums. */
inline_always void take_slot(struct task_slot *slot, u32 tid, u64 born)
{
	count_displaced(slot);
	begin_account(slot, tid, born);
	slot->tid = tid;
}

/* A task that is born now: its sums will cover its whole life. */
inline_always void begin_life(u32 tid, u64 now)
{
	struct task_slot *slot = slot_of(tid);
	struct task_origin *origin = origin_of(tid);

	take_slot(slot, tid, now);
	thread_began(tid, now);
	enter_state(slot, SLOT_ABSENT, now); /* until wake_up_new_task() */
	origin->run_delay = 0;
	origin->runtime = 0;
	origin->pcount = 0;
}

/* The end of a block: add it to the task's sum, and to the CPU's by reason. */
inline_always void close_blocked(struct task_slot *slot, u32 tag, u64 now, bool interruptible)
{
	struct cpu_counters *c = counters();
	u32 reason = tag >> SLOT_REASON_SHIFT;
	u32 uninterruptible = (tag & SLOT_STATE) == SLOT_UNINTERRUPTIBLE;
	s64 ns = now - slot->since;

	if (reason >= REASONS)
		reason = REASON_UNKNOWN;
	if (rarely(ns < 0)) {
		add_to(&c->blocked_clamped, 1, interruptible);
		ns = 0;
	}
	add_interval(&c->blocked[uninterruptible][reason], ns, interruptible);
	slot->blocked_ns += ns;
	wait_ended(slot->tid, ns, interruptible);
	thread_blocked(slot->tid, reason, ns, interruptible);
}

/* A task that leaves the scope: its block, or stop, counts up to now. */
inline_always void leave_scope(u32 tid)
{
	struct task_slot *slot = slot_of(tid);
	u64 now = bpf_ktime_get_ns();

	wall_left(tid);
	if (slot->tid != tid)
		return;
	if (is_blocked(slot->tag))
		close_blocked(slot, slot->tag, now, true);
	else
		exclude_time_away(slot, slot->tag, now, true);
	disown(tid);
	thread_left(tid);
	budget_given_up();
}

/* On a CPU again with no wakeup seen: it was blocked until shortly before now. */
inline_always void woken_unseen(struct task_slot *slot, u64 now, bool interruptible)
{
	add_to(&counters()->wakeup_unseen, 1, interruptible);
	close_blocked(slot, slot->tag, now, interruptible);
}

/* A thread that execs takes over the id of its leader; its account moves with it. */
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
	move_thread(from, to);
}
