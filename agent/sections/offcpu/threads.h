/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What each thread in scope was blocked in, and for how long it was stopped, since its account began
 * (begin_life(), prime_account()). A thread has its row until its exit is reported, so only as many
 * are needed as threads live at once. The table is written to only where a block or a stop ends;
 * the rest of a thread's budget is in its slot.
 */
#pragma once
#include "kernel.h"

struct thread_row {
	u32 tid; /* 0: free, and then all else is 0 too */
	u32 padding;
	u64 began_ns;
	u64 stopped_ns;
	u64 other_ns; /* blocked for reasons that found no place below */
	u64 blocked[WALL_THREAD_REASONS]; /* reason + 1 and ns (WALL_THREAD_SHIFT); 0: free */
};

_Static_assert(sizeof(struct thread_row) == WALL_THREAD_ROW, "thread_row");

/* What is reported of a thread, as it exits or at the stop. */
struct thread_report {
	struct task_summary summary;
	struct thread_row row; /* of tid 0 if there was no place for it */
};

_Static_assert(sizeof(struct thread_report) == WALL_REPORT, "thread_report");

#if MEASURES_WALL

inline_always struct thread_row *thread_place(u32 place)
{
	return (struct thread_row *)(MAP_VALUE(WALL_THREADS_FD) + place * sizeof(struct thread_row));
}

/* The thread's row, or NULL. */
inline_always struct thread_row *thread_row(u32 tid)
{
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < WALL_THREAD_TRIES; i++) {
		struct thread_row *row = thread_place((tid + i) & (WALL_THREADS - 1));

		if (row->tid == tid)
			return row;
	}
	return NULL;
}

/* Add to what a thread was blocked in. Its first reasons are its most frequent ones, as a rule. */
inline_always void thread_blocked(u32 tid, u32 reason, u64 ns, bool interruptible)
{
	struct thread_row *row = thread_row(tid);
	u64 key = reason + 1;

	if (rarely(!row))
		return;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < WALL_THREAD_REASONS; i++) {
		u64 *blocked = &row->blocked[i];

		if (*blocked >> WALL_THREAD_SHIFT == key) {
			add_to(blocked, ns, interruptible);
			return;
		}
		if (*blocked == 0) {
			*blocked = key << WALL_THREAD_SHIFT | ns;
			return;
		}
	}
	add_to(&row->other_ns, ns, interruptible);
}

inline_always void thread_stopped(u32 tid, u64 ns, bool interruptible)
{
	struct thread_row *row = thread_row(tid);

	if (row)
		add_to(&row->stopped_ns, ns, interruptible);
}

inline_always void free_row(struct thread_row *row)
{
	row->began_ns = row->stopped_ns = row->other_ns = 0;
	for (u32 i = 0; i < WALL_THREAD_REASONS; i++)
		row->blocked[i] = 0;
	__asm__ volatile("" ::: "memory");
	*(volatile u64 *)row = 0;
}

/* The thread has been reported, or is not in scope any more. */
inline_always void thread_left(u32 tid)
{
	struct thread_row *row = thread_row(tid);

	if (row)
		free_row(row);
}

/* Begin a thread's budget, in process context. It has no row if there is no place for one. */
inline_always void thread_began(u32 tid, u64 now)
{
	thread_left(tid);
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < WALL_THREAD_TRIES; i++) {
		struct thread_row *row = thread_place((tid + i) & (WALL_THREADS - 1));

		if (__sync_val_compare_and_swap((u64 *)row, 0, (u64)tid) == 0) {
			row->began_ns = now;
			return;
		}
	}
}

/* What to report of a thread: its row, or one that never has an owner. */
inline_always const struct thread_row *reported_row(u32 tid)
{
	const struct thread_row *row = thread_row(tid);

	return row ? row : thread_place(WALL_THREADS);
}

/* The budget of a thread goes on under another id. */
inline_always void move_thread(u32 from, u32 to)
{
	struct thread_row *old = thread_row(from);

	if (!old)
		return;
	thread_began(to, old->began_ns);

	struct thread_row *new = thread_row(to);

	if (new) {
		new->stopped_ns = old->stopped_ns;
		new->other_ns = old->other_ns;
		for (u32 i = 0; i < WALL_THREAD_REASONS; i++)
			new->blocked[i] = old->blocked[i];
	}
	free_row(old);
}

#else

inline_always void thread_blocked(u32 tid, u32 reason, u64 ns, bool interruptible)
{
}

inline_always void thread_stopped(u32 tid, u64 ns, bool interruptible)
{
}

inline_always void thread_left(u32 tid)
{
}

inline_always void thread_began(u32 tid, u64 now)
{
}

inline_always void move_thread(u32 from, u32 to)
{
}

#endif
