/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The cgroup that a run is about, also after it was removed and made again under its path, as at
 * the restart of a service. A path never reaches the privileged side: it is a chain of ids. When a
 * cgroup of the chain is removed, its name is noted as the kernel's own hash of it, and a cgroup
 * that is made with that name below the same parent takes its place.
 *
 * Both tracepoints fire with cgroup_mutex held: writers are serialized, and no task can be in a new
 * cgroup before its id is known here.
 */
#pragma once
#include "kernel.h"

struct scope_cgroups {
	u64 id; /* of the scope itself; 0: the scope is not a cgroup */
	u64 chain[CGROUP_CHAIN]; /* ids from the root of the hierarchy to the scope */
	u32 removed[CGROUP_CHAIN]; /* hash of the name of one that was removed; 0: it exists */
	u32 depth;  /* entries of the chain */
	u32 remade; /* how often the scope itself was made again */
	u64 earlier[CGROUPS_KEPT]; /* the ids that it had before, the last few */
};

_Static_assert(sizeof(struct scope_cgroups) == CGROUPS_SIZE, "scope_cgroups");

inline_always struct scope_cgroups *scope_cgroups(void)
{
	return (struct scope_cgroups *)MAP_VALUE(CGROUPS_FD);
}

/* The id of the cgroup that the run is about; 0 if it is not about one. */
inline_always u64 scope_cgroup(void)
{
	return scope_cgroups()->id;
}

#ifdef TASK_CGROUPS
inline_always u64 cgroup_id(u64 cgroup)
{
	return READ(read_pointer(cgroup + CGROUP_KN), KERNFS_NODE_ID);
}

inline_always u64 parent_cgroup(u64 cgroup)
{
	u64 parent = read_pointer(cgroup + CGROUP_SELF + CSS_PARENT);

	return parent ? parent - CGROUP_SELF : 0;
}

/* kernfs's hash of a cgroup's name, 31 bits and never 0 (kernfs_name_hash()). */
inline_always u32 name_hash(u64 cgroup)
{
	return READ(read_pointer(cgroup + CGROUP_KN), KERNFS_NODE_HASH);
}

/* Each version 1 hierarchy has ids of its own, which may equal those of version 2. */
inline_always bool is_version_2(u64 cgroup)
{
	return READ(read_pointer(cgroup + CGROUP_ROOT), ROOT_HIERARCHY_ID) == 0;
}

inline_always void cgroup_removed(u64 cgroup)
{
	struct scope_cgroups *scope = scope_cgroups();
	u64 id = cgroup_id(cgroup);

	for (int i = 1; i < CGROUP_CHAIN; i++)
		if (i < scope->depth && scope->chain[i] == id)
			scope->removed[i] = name_hash(cgroup);
}

inline_always void cgroup_made(u64 cgroup)
{
	struct scope_cgroups *scope = scope_cgroups();
	u64 parent = cgroup_id(parent_cgroup(cgroup));
	u32 name = name_hash(cgroup);

	for (int i = 1; i < CGROUP_CHAIN; i++) {
		if (i >= scope->depth || scope->removed[i] != name || scope->chain[i - 1] != parent)
			continue;
		scope->removed[i] = 0;
		scope->chain[i] = cgroup_id(cgroup);
		if (i + 1 != scope->depth)
			continue;
		scope->earlier[scope->remade & (CGROUPS_KEPT - 1)] = scope->id;
		scope->id = scope->chain[i];
		scope->remade++;
	}
}
#endif
