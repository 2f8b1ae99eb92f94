/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Where the wall time goes: at each moment the tasks in scope are, together, in one state
 * (wall_state()), and each change closes one state and opens the next, so that the states add up to
 * the time that passed. docs/explanation/wall-time.md says what that means and where it ends.
 *
 * This file has what the events of a task do to that: each changes the task's unit (wall_units.h) and
 * adds the difference to the word (wall_word.h).
 */
#pragma once
#include "wall_ends.h"
#include "wall_units.h"

#if MEASURES_WALL

/* `*ended`: whether it is the last switch of the last thread of the command's process. */
inline_always u64 wall_switched_out(u64 prev, bool runnable, u32 state, u64 now, bool *ended)
{
	u32 tid = LOAD(prev, TASK_PID);
	u64 *unit = wall_unit(tid);
	u64 was = read_unit(unit), becomes;

	if (tid == 0)
		return 0;
	if (rarely((u32)was != tid)) {
		if (state & TASK_DEAD || !in_scope(tid))
			return 0;
		return claim_unit(unit, prev, tid, away_field(prev, runnable, state));
	}
	if (rarely(field_of(was) != WALL_RUNNING && !(was & WALL_PRIMED)))
		began_unseen(prev, was, now);
	if (rarely(state & TASK_DEAD)) {
		becomes = 0;
		if (was & WALL_MAIN)
			*ended = fetch_and_add(&wall_time()->mains, -1) == 1;
	} else {
		becomes = unit_of(tid, away_field(prev, runnable, state)) | (was & WALL_MAIN);
	}
	was = set_unit(unit, was, &becomes);
	return worth(becomes) - worth(was);
}

/* Whether a task may come to a CPU without a wakeup: a deadline task that had yielded. */
inline_always bool needs_no_wakeup(u64 task)
{
#ifdef TASK_PRIO
	return LOAD_SIGNED(task, TASK_PRIO) < 0;
#else
	return false;
#endif
}

/* `*computes`: whether the word will count the task as computing until its next switch. */
inline_always u64 wall_switched_in(u64 next, u64 now, bool *computes)
{
	u32 tid = LOAD(next, TASK_PID);
	u64 *unit = wall_unit(tid);
	u64 was = read_unit(unit), becomes = unit_of(tid, WALL_RUNNING) | (was & WALL_MAIN);

	if (tid == 0)
		return 0;
	if (rarely((u32)was != tid)) {
		if (!in_scope(tid))
			return 0;
		*computes = true;
		return claim_unit(unit, next, tid, WALL_RUNNING);
	}
	if (rarely(field_of(was) != WALL_RUNNABLE && !(was & WALL_PRIMED))) {
		if (field_of(was) == WALL_RUNNING)
			ended_unseen(next, now);
		else if (!needs_no_wakeup(next))
			add_to(&wall_row()->unseen, 1, true);
	}
	was = set_unit(unit, was, &becomes);
	*computes = becomes != 0;
	return worth(becomes) - worth(was);
}

/*
 * Leave a change to when this CPU no longer runs a task of the scope, if it says nothing of running
 * ones; return whether that was done. Runs with interrupts off, as all that it could interrupt does.
 */
inline_always bool wall_defers(struct wall_row *row, u64 difference)
{
	if (!row->computes || running_in(difference))
		return false;
	row->deferred += difference;
	return true;
}

/* One addition for both tasks: there is no moment at which neither is counted. */
inline_always void wall_switch(u64 prev, u64 next, bool runnable, u32 state, u64 now)
{
	struct wall_row *row = wall_row();
	bool ended = false, computes = false;
	u64 difference = wall_switched_out(prev, runnable, state, now, &ended);

	difference += wall_switched_in(next, now, &computes) + row->deferred;
	row->deferred = 0;
	/* a task that is moved to another cgroup is taken from the word in the middle of its turn */
	row->computes = computes && !scope_cgroup();
	if (difference && !wall_defers(row, difference)) {
		struct left left = wall_add(difference, now, false);

		if (left.state == WALL_IS_WAITING && left.ns)
			waited_until(prev, left);
	}
	if (rarely(ended))
		wall_advance(WALL_EXECED, WALL_ENDED, now, false);
}

/* Whether a task has a unit, or should have one. */
inline_always bool wall_concerns(u64 task)
{
	u32 tid = LOAD(task, TASK_PID);

	return tid != 0 && ((u32)read_unit(wall_unit(tid)) == tid || in_scope(tid));
}

/* Since when a wake-up is on its way, as a unit has it. */
inline_always u64 sent_at(u64 now)
{
	return (now >> WALL_SENT_UNIT | 1) << WALL_SENT_SHIFT;
}

/* A wake-up arrives: for how long it was on its way. */
inline_always u64 sent_for(u64 unit, u64 now)
{
	u64 sent = unit >> WALL_SENT_SHIFT << WALL_SENT_SHIFT;

	return sent ? (sent_at(now) - sent) >> WALL_SENT_SHIFT << WALL_SENT_UNIT : 0;
}

/*
 * A task is woken that is not on a CPU; `tag` is what its slot said that it did. `sent`: 0, or since
 * when its wake-up is on its way.
 */
inline_always void wall_woken(u64 task, u32 tid, u32 tag, u64 now, u64 sent)
{
	u64 *unit = wall_unit(tid);
	u64 was = read_unit(unit), becomes = unit_of(tid, WALL_RUNNABLE) | (was & WALL_MAIN) | sent;
	u64 difference;

	if (rarely((u32)was != tid)) {
		if (!in_scope(tid))
			return;
		difference = claim_unit(unit, task, tid, WALL_RUNNABLE);
	} else {
		if (rarely(field_of(was) == WALL_RUNNING && !(was & WALL_PRIMED)))
			ended_unseen(task, now);
		was = set_unit(unit, was, &becomes);
		if (WITH_WAKING)
			wall_row()->waking_ns += sent_for(was, now);
		difference = worth(becomes) - worth(was);
	}

	if (!difference || wall_defers(wall_row(), difference))
		return;

	struct left left = wall_add(difference, now, false);

	if (left.state == WALL_IS_BLOCKED && left.ns)
		blocked_until(task, tag, left);
}

/* Take a task's unit away, in process context. */
inline_always void wall_left(u32 tid)
{
	u64 *unit = wall_unit(tid);

	if ((u32)read_unit(unit) != tid)
		return;

	u64 was = __sync_lock_test_and_set(unit, 0);

	if (was)
		wall_add(-worth(was), bpf_ktime_get_ns(), true);
}

/* A thread has left the scope alive: what it did until now is in no report. */
inline_always void budget_given_up(void)
{
	add_to(&wall_row()->left, 1, true);
}

/*
 * The process has a new program, and its threads are down to one. If that had another id, it has its
 * leader's now; the leader may be on its way to its last switch, under the id that the thread had,
 * and then both units are right as they are.
 */
inline_always void wall_execed(u64 task, u32 tid, u32 old_tid)
{
	u64 *unit = wall_unit(tid);

	if (tid != old_tid && (u32)read_unit(wall_unit(old_tid)) == old_tid &&
	    (u32)read_unit(unit) != tid) {
		u64 moved = __sync_lock_test_and_set(wall_unit(old_tid), 0);
		u64 was = __sync_lock_test_and_set(unit, moved ? moved - old_tid + tid : 0);

		if (was)
			wall_add(-worth(was), bpf_ktime_get_ns(), true);
	}
	if (scope_cgroup() || LOAD(task, TASK_TGID) != run_config()->root_tgid || !in_scope(tid))
		return;
	if ((u32)read_unit(unit) != tid)
		wall_add(claim_unit(unit, task, tid, WALL_RUNNING), bpf_ktime_get_ns(), true);
	if (wall_advance(WALL_BEGUN, WALL_EXECED, bpf_ktime_get_ns(), true)) {
		__sync_fetch_and_or(unit, WALL_MAIN);
		wall_time()->mains = 1;
	}
}

/* What a task seems to do, looked at without its run queue's lock. */
inline_always u32 seeming_field(u64 task, u32 state)
{
	return LOAD(task, TASK_ON_CPU) ? WALL_RUNNING : away_field(task, state == 0, state);
}

/*
 * Note what a task does that no event has told of. It may be about to change: what its event of a
 * moment ago did not find marked as a member does not show yet, so it is looked at again later, until
 * an event confirms it. The word has the unit before the task does, so that no event can take away
 * what is not there yet.
 */
inline_always void wall_prime(u64 task, u32 tid, u32 state)
{
	u64 *unit = wall_unit(tid);
	u64 was = read_unit(unit);
	u64 becomes = unit_of(tid, seeming_field(task, state)) | WALL_PRIMED;
	u64 now = bpf_ktime_get_ns();

	if (state & TASK_NEW)
		return;
	if ((u32)was == tid)
		becomes |= was & WALL_MAIN;
	if ((u32)was == tid ? !(was & WALL_PRIMED) || was == becomes : was != 0)
		return;
	wall_add(worth(becomes), now, true);
	if (__sync_val_compare_and_swap(unit, was, becomes) == was)
		becomes = was;
	if (becomes)
		wall_add(-worth(becomes), now, true);
	/* it may have had its last switch since it was found alive */
	if (LOAD(task, TASK_EXIT_STATE) != 0)
		wall_left(tid);
}

/*
 * Whether a task clearly does something else than its unit says. A task that is preempted after it
 * had set itself to sleep is runnable, and does not look it.
 */
inline_always bool wall_contradicted(u64 unit, u64 task, u32 state)
{
	u32 field = field_of(unit);

	if (LOAD(task, TASK_ON_CPU))
		return field != WALL_RUNNING;
	if (state == 0)
		return field != away_field(task, true, 0);
	return field == WALL_RUNNING;
}

#else

inline_always void wall_left(u32 tid)
{
}

inline_always void budget_given_up(void)
{
}

inline_always void wall_execed(u64 task, u32 tid, u32 old_tid)
{
}

inline_always void wall_prime(u64 task, u32 tid, u32 state)
{
}

#endif
