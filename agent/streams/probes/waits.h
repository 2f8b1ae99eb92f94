/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The kernel function that a task blocks in, from its stack. A stack costs more than everything
 * else at a context switch together, so on each CPU one is due every WAIT_SAMPLE_NS, and up to
 * WAIT_BURST may be taken ahead of time. So its cost is bounded however often tasks block, and
 * where they block seldom every block has one. (One in N would see nothing of a few long waits,
 * and would fall into step with tasks that take turns.)
 */
#pragma once
#include "kernel.h"

#if WITH_WAIT_FUNCTIONS

/* Without the preprocessing that bcc gives to its own name of it. */
static long (*stack_number)(void *ctx, void *map, u64 flags) = (void *)BPF_FUNC_get_stackid;

inline_always struct wait_counters *wait_counters(void)
{
	return (struct wait_counters *)(MAP_VALUE(WAITS_FD) + (bpf_get_smp_processor_id() & CPU_MASK) *
								      sizeof(struct wait_counters));
}

/* Of the block that a task is in: 1 + the number of its stack, or 0, not sampled. */
inline_always u32 *wait_site_of(u32 tid)
{
	return (u32 *)(MAP_VALUE(WAIT_SITES_FD) + (tid & SLOT_MASK) * sizeof(u32));
}

/* To be called by the task that blocks. */
inline_always void wait_began(void *ctx, u32 tid, u64 now)
{
	struct wait_counters *w = wait_counters();
	u32 site = 0;

	if (w->due_ns < now)
		w->due_ns = now;
	if (w->due_ns - now < WAIT_BURST * WAIT_SAMPLE_NS) {
		s64 stack = stack_number(ctx, MAP(STACKS_FD), 0);

		w->due_ns += WAIT_SAMPLE_NS;
		if (stack >= 0)
			site = stack + 1;
		else
			w->refused++; /* the table is full, or two stacks have one hash */
	}
	*wait_site_of(tid) = site;
}

inline_always void wait_ended(u32 tid, u64 ns)
{
	u32 site = *wait_site_of(tid);
	struct interval_sum *sum = &wait_counters()->sites[site < WAIT_SITES ? site : 0];

	sum->ns += ns;
	sum->count++;
}

#else

inline_always void wait_began(void *ctx, u32 tid, u64 now)
{
}

inline_always void wait_ended(u32 tid, u64 ns)
{
}

#endif
