/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What each task does, as the wall time has it: its unit, which is a term of the word (wall_word.h).
 *
 * A task has its unit until its last switch, long after sched_process_exit. Events of one task are
 * ordered by its run queue's lock (sched.c), so a unit needs no atomics, except where an iterator or
 * a change of cgroup may write to it meanwhile.
 */
#pragma once
#include "blocked.h"
#include "cgroups.h"
#include "wall_word.h"

#if MEASURES_WALL

/*
 * A unit: the task's id, then the position of its field in the word, then flags. 0: none. Above them,
 * while a wake-up is on its way to the task's CPU: since when, in units of 256 ns, never 0; they repeat
 * after a second.
 */
#define WALL_PRIMED (1ULL << 40) /* no event of the task has confirmed what it does */
#define WALL_MAIN (1ULL << 41)	 /* a thread of the command's process */
#define WALL_SENT_SHIFT 42
#define WALL_SENT_UNIT 8

/* Tasks with successive ids take turns on CPUs: their units are in different cache lines. */
inline_always u64 *wall_unit(u32 tid)
{
	u32 place = tid & SLOT_MASK;

	return (u64 *)MAP_VALUE(WALL_UNITS_FD) + (place & 7) * ((SLOT_MASK + 1) / 8) + (place >> 3);
}

inline_always u64 read_unit(u64 *unit)
{
	return *(volatile u64 *)unit;
}

inline_always u64 unit_of(u32 tid, u32 field)
{
	return tid | (u64)field << WALL_FIELD_SHIFT;
}

inline_always u32 field_of(u64 unit)
{
	return unit >> WALL_FIELD_SHIFT & WALL_FIELD_MASK;
}

/* Whether a unit is that of a task that somebody has to wake. */
inline_always bool is_asleep(u64 unit)
{
	u32 field = field_of(unit);

	return field == WALL_BLOCKED || field == WALL_STOPPED;
}

/* What a unit adds to the word. */
inline_always u64 worth(u64 unit)
{
	return unit ? 1ULL << field_of(unit) : 0;
}

/*
 * Write a unit that was `was` when it was read; return what it was then. A task that has left the
 * scope meanwhile gets none.
 */
inline_always u64 set_unit(u64 *unit, u64 was, u64 *becomes)
{
	if (rarely(was & WALL_PRIMED) || scope_cgroup()) {
		if (!in_scope((u32)was))
			*becomes = 0;
		return __sync_lock_test_and_set(unit, *becomes);
	}
	*unit = *becomes;
	return was;
}

/* Give a unit to a task that has none; return the difference to the word. */
inline_always u64 claim_unit(u64 *unit, u64 task, u32 tid, u32 field)
{
	u64 becomes = unit_of(tid, field);
	struct wall_time *wall = wall_time();

	if (wall_phase(*(volatile u64 *)&wall->word) == WALL_EXECED &&
	    LOAD(task, TASK_TGID) == run_config()->root_tgid) {
		becomes |= WALL_MAIN;
		__sync_fetch_and_add(&wall->mains, 1);
	}

	u64 was = __sync_lock_test_and_set(unit, becomes);

	/* the same task's is one that an iterator has given it meanwhile */
	if (rarely(was != 0 && (u32)was != tid))
		add_to(&wall_row()->displaced, 1, true);
	return worth(becomes) - worth(was);
}

/* The field of a task that leaves the CPU, or has left it. */
inline_always u32 away_field(u64 task, bool runnable, u32 state)
{
	if (runnable)
		return runnable_tag(task, SLOT_RUNNABLE) == SLOT_RUNNABLE ? WALL_RUNNABLE : WALL_BLOCKED;
	if (rarely(state & (TASK_STOPPED | TASK_TRACED | TASK_FROZEN)) || rarely(in_freezer(task, state)))
		return WALL_STOPPED;
	return WALL_BLOCKED;
}

/* The time for which `task` has run in its current or last turn; only of the fair class. */
inline_always u64 ran_in_turn(u64 task)
{
	s64 ran = LOAD(task, TASK_RUNTIME) - LOAD(task, TASK_PREV_RUNTIME);

	return ran > 0 ? ran : 0;
}

/*
 * A task is switched out that was not seen coming to a CPU: some kernels run no program at the switch
 * away from process 1. It has computed for this turn. If nobody else did, the scope did so with it,
 * and what ends the state that holds has ended that much less of it.
 */
inline_always void began_unseen(u64 prev, u64 unit, u64 now)
{
	struct wall_row *row = wall_row();
	u64 word = *(volatile u64 *)&wall_time()->word;
	u64 ran = ran_in_turn(prev), open = open_for(now);
	u64 within = ran < open ? ran : open;

	add_to(&row->unseen, 1, true);
	add_to(field_of(unit) == WALL_RUNNABLE ? &row->arrivals_ns : &row->unseen_ns, ran - within, true);
	add_to(&row->cpu_ns[wall_phase(word)], within, true);
	if (wall_state(word) != WALL_IS_COMPUTING) {
		move_time(word, WALL_IS_COMPUTING, within);
		__sync_fetch_and_add(&wall_time()->since, within);
	}
}

/* A task was not seen leaving its CPU. What it has done since its turn there is not known. */
inline_always void ended_unseen(u64 task, u64 now)
{
	struct wall_row *row = wall_row();
	u64 word = *(volatile u64 *)&wall_time()->word;
	u64 ran = ran_in_turn(task), open = open_for(now);
	u64 over = open > ran ? open - ran : 0;

	add_to(&row->unseen, 1, true);
	add_to(&row->unseen_ns, over, true);
	if (running_in(word) == 1) {
		add_to(&row->cpu_ns[wall_phase(word)], -over, true);
		move_time(word, WALL_IS_UNKNOWN, over);
	}
}

#endif
