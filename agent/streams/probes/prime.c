/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * A task iterator (bpf_iter, since 5.8), run once everything is attached: it finds the members
 * of the tree, and notes what every task is doing as the run begins, so that a wait that began
 * earlier is counted from the start, and nobody's first event lacks a beginning.
 */
#include "batch.h"
#include "blocked.h"

#define MAX_ANCESTORS 64

inline_always bool descends_from(u64 task, u32 root)
{
	u64 ancestor = task;

	for (int depth = 0; depth < MAX_ANCESTORS; depth++) {
		u32 tgid = LOAD32(ancestor, TASK_TGID);

		if (tgid == root)
			return true;
		if (tgid <= 1)
			return false;
		ancestor = LOAD64(ancestor, TASK_REAL_PARENT);
	}
	return false;
}

int on_iter_task(u64 *ctx)
{
	u64 task = ctx[1];
	const struct run_config *config = run_config();

	if (!task)
		return 0;

	u32 tid = LOAD32(task, TASK_PID);

	if (!*member(tid) && descends_from(task, config->root_tgid)) {
		*member(tid) = 1;
		counters()->members++;
	}
#if WITH_RUNQLAT || WITH_OFFCPU
	struct task_slot *slot = slot_of(tid);

	/* A slot that is in use already was seen by a tracepoint, which knows better. */
	if (!in_scope(tid) || slot->tid != 0)
		return 0;

	u32 state = LOAD32(task, TASK_STATE);
	u32 tag = SLOT_RUNNABLE;

	if (LOAD32(task, TASK_ON_CPU))
		tag = SLOT_RUNNING;
#if WITH_OFFCPU
	else if (state != 0)
		tag = blocked_tag(task, state);
#else
	else if (state != 0)
		tag = SLOT_RUNNING;
#endif
	slot->tag = tag | SLOT_PRIMED;
	slot->since = config->start_ns;
	slot->tid = tid;
#endif
	return 0;
}
