/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Where the wall time goes: at each moment the tasks in scope are, together, in one state
 * (wall_state()), and each change closes one state and opens the next, so that the states add up to
 * the time that passed. docs/explanation/wall-time.md says what that means and where it ends.
 *
 * One word of memory, shared by all CPUs, has the number of tasks by what they do, and the phase of
 * the run. Its invariant: it is the sum of one unit for each task that has one (wall_unit()), by what
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
 *
 * A task has its unit until its last switch, long after sched_process_exit. Events of one task are
 * ordered by its run queue's lock (sched.c), so a unit needs no atomics, except where an iterator or
 * a change of cgroup may write to it meanwhile.
 */
#pragma once
#include "blocked.h"
#include "cgroups.h"

/* One for the run. The first line is what the CPUs share. */
struct wall_time {
	u64 word;
	u64 since; /* when the state was entered that holds now */
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

/*
 * How long the scope was blocked until tasks of one command were woken from one call; or how long it
 * waited until one of its tasks came to a CPU that a task of one command had to leave. Each CPU has
 * WALL_ENDS rows of the former and WALL_CPUS_OF of the latter; what finds no place is not counted.
 */
struct wall_end {
	char comm[16];
	u32 reason; /* of the block, 0 in rows about waiting; plus phase << 16 */
	u32 count;  /* 0: free */
	u64 ns;
};

_Static_assert(sizeof(struct wall_end) == WALL_END, "wall_end");

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

#define WALL_COUNT 0x7FFF /* of a field; there are 17 bits for blocked tasks */
#define WALL_COUNT_BLOCKED 0x1FFFF
#define WALL_TRIES 16
#define WALL_END_TRIES 8

/* States of a task that is not asleep: new, until wake_up_new_task() (since 4.8). */
#define TASK_NEW 0x0800

inline_always struct wall_time *wall_time(void)
{
	return (struct wall_time *)MAP_VALUE(WALL_FD);
}

inline_always struct wall_row *wall_row(void)
{
	return (struct wall_row *)(MAP_VALUE(WALL_FD) + WALL_HEAD +
				   (bpf_get_smp_processor_id() & CPU_MASK) * sizeof(struct wall_row));
}

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

inline_always u32 wall_cell(u32 phase, u32 state)
{
	return (phase * WALL_STATES + state) & (WALL_CELLS - 1);
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
	u64 before = __sync_fetch_and_add(&wall_time()->word, difference);
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

/* The time for which `task` has run in its current or last turn; only of the fair class. */
inline_always u64 ran_in_turn(u64 task)
{
	s64 ran = LOAD(task, TASK_RUNTIME) - LOAD(task, TASK_PREV_RUNTIME);

	return ran > 0 ? ran : 0;
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

/*
 * A task is switched out that was not seen coming to a CPU: some kernels run no program at the switch
 * away from process 1. It has computed for this turn. If nobody else did, neither did the scope.
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
	if (wall_state(word) != WALL_IS_COMPUTING)
		move_time(word, WALL_IS_COMPUTING, within);
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
			*ended = __sync_fetch_and_add(&wall_time()->mains, -1) == 1;
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

/* Add to the row of a command, and of a reason or 0, in a table of `rows` (a power of two). */
inline_always void note_end(struct wall_end *table, u32 rows, u64 task, u32 reason, struct left left)
{
	u64 first = LOAD64(task, TASK_COMM), second = LOAD64(task, TASK_COMM + 8);
	u32 place = ((first ^ second * 31 ^ reason) * 0x9E3779B97F4A7C15ULL) >> 32;

	reason |= left.phase << 16;
	for (u32 i = 0; i < WALL_END_TRIES; i++) {
		struct wall_end *end = &table[(place + i) & (rows - 1)];
		u64 *comm = (u64 *)end->comm;

		if (end->count == 0) {
			comm[0] = first;
			comm[1] = second;
			end->reason = reason;
		} else if (comm[0] != first || comm[1] != second || end->reason != reason) {
			continue;
		}
		end->ns += left.ns;
		end->count++;
		return;
	}
}

inline_always struct wall_end *rows_of_cpu(u64 table, u32 rows)
{
	return (struct wall_end *)(table + (bpf_get_smp_processor_id() & CPU_MASK) * rows *
						   sizeof(struct wall_end));
}

/* The scope was blocked until this task was woken; `tag` is what it did before. */
inline_always void blocked_until(u64 task, u32 tag, struct left left)
{
	note_end(rows_of_cpu(MAP_VALUE(WALL_ENDS_FD), WALL_ENDS), WALL_ENDS, task,
		 is_blocked(tag) ? tag >> SLOT_REASON_SHIFT : REASON_UNKNOWN, left);
}

/* The scope waited until one of its tasks came to this CPU, which `prev` has left. */
inline_always void waited_until(u64 prev, struct left left)
{
	if (LOAD(prev, TASK_PID) == 0)
		wall_row()->idle_ns[left.phase & (WALL_PHASES - 1)] += left.ns;
	else
		note_end(rows_of_cpu(MAP_VALUE(WALL_CPUS_OF_FD), WALL_CPUS_OF), WALL_CPUS_OF, prev, 0,
			 left);
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
