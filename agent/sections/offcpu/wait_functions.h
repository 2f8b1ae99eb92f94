/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The kernel function that a task blocks in, from its stack. Taking a stack costs more than
 * everything else at a context switch, so on each CPU one is due every WAIT_SAMPLE_NS, and up to
 * WAIT_BURST may be taken ahead of schedule. That bounds the cost however often tasks block, and
 * if they block rarely, every block is sampled. (Sampling one block in N would miss a few long
 * waits, and would fall into step with tasks that take turns.)
 */
#pragma once
#include "kernel.h"

/* Blocked time by sampled stack, one set per CPU. */
struct wait_counters {
	struct interval_sum sites[WAIT_SITES]; /* 0: not sampled; n: stack n - 1 */
	u64 due_ns; /* when the next stack is due */
	u64 refused;
	u64 padding[4];
};

_Static_assert(sizeof(struct wait_counters) == WAITS_SIZE, "wait_counters");

#if WITH_WAIT_FUNCTIONS

/* Our own name for the helper, since bcc rewrites calls to the usual one. */
static long (*stack_number)(void *ctx, void *map, u64 flags) = (void *)BPF_FUNC_get_stackid;

inline_always struct wait_counters *wait_counters(void)
{
	return (struct wait_counters *)(MAP_VALUE(WAITS_FD) + (bpf_get_smp_processor_id() & CPU_MASK) *
								      sizeof(struct wait_counters));
}

/* A task's current block: 1 + the number of its stack; 0: not sampled. */
inline_always u32 *wait_site_of(u32 tid)
{
	return (u32 *)(MAP_VALUE(WAIT_SITES_FD) + (tid & SLOT_MASK) * sizeof(u32));
}

/* Must run in the context of the task that blocks. */
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
			w->refused++; /* the table is full, or the hashes of two stacks collide */
	}
	*wait_site_of(tid) = site;
}

inline_always void wait_ended(u32 tid, u64 ns, bool interruptible)
{
	struct wait_counters *w = wait_counters();
	u32 site = *wait_site_of(tid);

	/* masked by a power of two: older verifiers follow no other bound on an index */
	if (site)
		add_interval(&w->sites[1 + ((site - 1) & (WAIT_STACKS - 1))], ns, interruptible);
	else
		add_interval(&w->sites[0], ns, interruptible);
}

#else

inline_always void wait_began(void *ctx, u32 tid, u64 now)
{
}

inline_always void wait_ended(u32 tid, u64 ns, bool interruptible)
{
}

#endif
