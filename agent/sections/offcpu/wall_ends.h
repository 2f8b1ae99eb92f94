/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What ended the time for which the whole scope was blocked, or waited for a CPU. */
#pragma once
#include "blocked.h"
#include "wall_word.h"

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

#define WALL_END_TRIES 8

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

#endif
