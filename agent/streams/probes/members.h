/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Whether a task belongs to the run's tree or cgroup, by its ancestors or its cgroup. That walk is
 * done only by the iterator and on changes of cgroup. Otherwise a fork copies the parent's byte.
 */
#pragma once
#include "cgroups.h"

#define MAX_ANCESTORS 64
#define MAX_CGROUP_DEPTH 32

inline_always bool descends_from(u64 task, u32 root)
{
	u64 ancestor = task;

	for (int depth = 0; depth < MAX_ANCESTORS; depth++) {
		u32 tgid = LOAD(ancestor, TASK_TGID);

		if (tgid == root)
			return true;
		if (tgid <= 1)
			return false;
		ancestor = FOLLOW(ancestor, TASK_REAL_PARENT);
	}
	return false;
}

#ifdef TASK_CGROUPS
/* Whether the task is in the cgroup v2 with this id, or in one below it. */
inline_always bool in_cgroup(u64 task, u64 wanted)
{
	u64 cgroup = read_pointer(FOLLOW(task, TASK_CGROUPS) + CSS_SET_DFL_CGRP);

	/*
	 * Looks at where it ends once more rather than keep an answer: LLVM 19 has no value for that
	 * after the last turn, and the verifier refuses to read a register without one.
	 */
	for (int depth = 0; depth < MAX_CGROUP_DEPTH; depth++) {
		if (!cgroup || cgroup_id(cgroup) == wanted)
			break;
		cgroup = parent_cgroup(cgroup);
	}
	return cgroup && cgroup_id(cgroup) == wanted;
}
#endif

inline_always bool belongs(u64 task, const struct run_config *config)
{
#if SCOPED
	if (descends_from(task, config->agent_tgid))
		return false;
#ifdef TASK_CGROUPS
	if (scope_cgroup())
		return in_cgroup(task, scope_cgroup());
#endif
#endif
	/* A task deeper than MAX_ANCESTORS is found through its parent, already marked as a member. */
	return descends_from(task, config->root_tgid) ||
	       *member(LOAD(FOLLOW(task, TASK_REAL_PARENT), TASK_PID));
}
