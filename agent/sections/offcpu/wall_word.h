/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * One word of memory, shared by all CPUs, has the number of tasks by what they do, and the phase of
 * the run. Its invariant: it is the sum of one unit for each task that has one (wall_units.h), by what
 * that task does. Whoever changes what a task does adds the difference. The addition returns the word
 * as it was, so all changes have one order, whatever the clocks of the CPUs say: each closes exactly
 * the state that the one before it opened. Clocks are read before the addition, so that single
 * intervals may be negative; no sum is ever clamped.
 *
 * While a CPU runs tasks of the scope, the scope computes, whatever the fields for others say. So what
 * changes in these on that CPU is deferred until it runs none (wall_defers()): the word is the sum of
 * the units less what is deferred, and exact when no task computes. Often nothing is left to add then.
 * A field above that of the running tasks may be below 0 meanwhile; it borrows from those above it, of
 * which the last wraps around. The phase and the running tasks are below them, and always right.
 */
#pragma once
#include "kernel.h"

/* One for the run. The first line is what the CPUs share. */
struct wall_time {
	u64 word;
	u64 since; /* when the state was entered that holds now, or later by what was moved from it */
	u64 mains; /* threads of the command's process that have a unit */
	u64 padding[5];
	u64 phase_ns[WALL_PHASES]; /* when each phase began; 0: it has not */
	u64 padding_2[4];
};

_Static_assert(sizeof(struct wall_time) == WALL_HEAD, "wall_time");

/* One for each CPU. Times are sums of moments: what was left less what was entered. */
struct wall_row {
	u64 ns[WALL_CELLS];
	u64 open[WALL_CELLS]; /* how often entered less how often left */
	u64 cpu_ns[WALL_PHASES]; /* summed over the tasks that compute */
	u64 idle_ns[WALL_PHASES]; /* of the wait for a CPU, what ended on a CPU that had been idle */
	u64 adds;
	u64 unseen;	 /* changes that were missed, and noticed later */
	u64 arrivals_ns; /* for how long a task computed that was counted as waiting for a CPU */
	u64 unseen_ns;	 /* for how long the state may have been another one for another such reason */
	u64 displaced;	 /* units that were given up, since two tasks share the place of one */
	u64 stuck;	 /* changes of the phase that were given up */
	u64 left;	 /* threads that left the scope alive, of whose budgets nothing is reported */
	u64 waking_ns;	 /* summed over tasks: from when they were woken to when that arrived */
	u64 computes;	 /* whether the word counts the task on this CPU as computing */
	u64 deferred;	 /* what the word lacks of this CPU's changes */
	u64 padding[6];
};

_Static_assert(sizeof(struct wall_row) == WALL_ROW, "wall_row");

#if MEASURES_WALL

#define WALL_COUNT 0x7FFF /* of a field; there are 17 bits for blocked tasks */
#define WALL_COUNT_BLOCKED 0x1FFFF
#define WALL_TRIES 16

inline_always struct wall_time *wall_time(void)
{
	return (struct wall_time *)MAP_VALUE(WALL_FD);
}

inline_always struct wall_row *wall_row(void)
{
	return (struct wall_row *)(MAP_VALUE(WALL_FD) + WALL_HEAD +
				   (bpf_get_smp_processor_id() & CPU_MASK) * sizeof(struct wall_row));
}

/* How many tasks are on a CPU. */
inline_always u64 running_in(u64 word)
{
	return word >> WALL_RUNNING & WALL_COUNT;
}

/* The first of these that holds. */
inline_always u32 wall_state(u64 word)
{
	if (running_in(word))
		return WALL_IS_COMPUTING;
	if (word >> WALL_RUNNABLE & WALL_COUNT)
		return WALL_IS_WAITING;
	if (word >> WALL_BLOCKED & WALL_COUNT_BLOCKED)
		return WALL_IS_BLOCKED;
	return word >> WALL_STOPPED & WALL_COUNT ? WALL_IS_STOPPED : WALL_IS_EMPTY;
}

inline_always u32 wall_phase(u64 word)
{
	return word & (WALL_PHASES - 1);
}

/* Masked, since the verifier of 6.1 does not see that all cells are within the table. */
inline_always u32 wall_cell(u32 phase, u32 state)
{
	return masked(phase * WALL_STATES + state, WALL_CELLS - 1);
}

/* What was left by a change of the word: the phase, the state and how long it was open, or 0. */
struct left {
	u32 phase;
	u32 state;
	u64 ns;
};

/* Close one state, or one phase of it, and open another; return how long the first was open, or 0. */
inline_always u64 change_state(u64 before, u64 after, u64 now, bool interruptible)
{
	struct wall_row *row = wall_row();
	u32 left = wall_cell(wall_phase(before), wall_state(before));
	u32 entered = wall_cell(wall_phase(after), wall_state(after));

	if (left == entered)
		return 0;
	add_to(&row->ns[left], now, interruptible);
	add_to(&row->ns[entered], -now, interruptible);
	add_to(&row->open[left], -1, interruptible);
	add_to(&row->open[entered], 1, interruptible);

	s64 lasted = now - __sync_lock_test_and_set(&wall_time()->since, now);

	return lasted > 0 ? lasted : 0;
}

/* Change the word. */
inline_always struct left wall_add(u64 difference, u64 now, bool interruptible)
{
	struct wall_row *row = wall_row();
	u64 before = fetch_and_add(&wall_time()->word, difference);
	u64 after = before + difference;
	u64 fewer = running_in(before) - running_in(after);

	add_to(&row->adds, 1, interruptible);
	if (fewer)
		add_to(&row->cpu_ns[wall_phase(before)], fewer * now, interruptible);

	return (struct left){
		.phase = wall_phase(before),
		.state = wall_state(before),
		.ns = change_state(before, after, now, interruptible),
	};
}

/*
 * Go from one phase to another; return whether that was done. It is not if the phase is another one,
 * or if other CPUs change the word all the time.
 */
inline_always bool wall_advance(u32 from, u32 to, u64 now, bool interruptible)
{
	struct wall_time *wall = wall_time();
	struct wall_row *row = wall_row();

	for (int i = 0; i < WALL_TRIES; i++) {
		u64 before = *(volatile u64 *)&wall->word;
		u64 after = before + to - from;
		u64 running = running_in(before);

		if (wall_phase(before) != from)
			return false;
		if (__sync_val_compare_and_swap(&wall->word, before, after) != before)
			continue;
		wall->phase_ns[to] = now;
		add_to(&row->cpu_ns[from], running * now, interruptible);
		add_to(&row->cpu_ns[to], -(running * now), interruptible);
		change_state(before, after, now, interruptible);
		return true;
	}
	add_to(&row->stuck, 1, true);
	return false;
}

inline_always u64 open_for(u64 now)
{
	s64 open = now - *(volatile u64 *)&wall_time()->since;

	return open > 0 ? open : 0;
}

/* Take time from the state that holds to another one. */
inline_always void move_time(u64 word, u32 to, u64 ns)
{
	struct wall_row *row = wall_row();
	u32 phase = wall_phase(word);

	add_to(&row->ns[wall_cell(phase, wall_state(word))], -ns, true);
	add_to(&row->ns[wall_cell(phase, to)], ns, true);
}

#endif
