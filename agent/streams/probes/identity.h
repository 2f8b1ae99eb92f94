/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Which process a number means. A process in a pid namespace is known by another number there than
 * in the initial namespace, whose numbers are the ones in task_struct and in all our tables.
 */
#pragma once
#include "kernel.h"

/* How deep the pid namespace of `task` is nested; 0: the initial one. */
inline_always u32 pid_level(u64 task)
{
	return READ(read_pointer(task + TASK_THREAD_PID), PID_LEVEL);
}

/*
 * The number of `task` in its pid namespace at this level; 0 if its own is less deep. A pid has a
 * number in each namespace from the initial one to its own.
 */
inline_always u32 number_at(u64 task, u32 level)
{
	u64 pid = read_pointer(task + TASK_THREAD_PID);

	if (level > READ(pid, PID_LEVEL))
		return 0;
	return READ(pid + PID_NUMBERS + (u64)level * PID_NUMBERS_SIZE, UPID_NR);
}

/* The user of a process, as the kernel itself numbers users (kuid_t). */
inline_always u32 user_of(u64 task)
{
	u64 cred = read_pointer(task + TASK_REAL_CRED);
	u32 uid = READ(cred, CRED_UID);

	if (READ(cred, CRED_EUID) != uid || READ(cred, CRED_SUID) != uid)
		return NO_UID;
	return uid;
}

/* Describe the task and its process to `reader`, a task that sees it in its own namespace. */
inline_always void identify(struct task_identity *found, u64 task, u64 reader)
{
	u64 leader = FOLLOW(task, TASK_GROUP_LEADER);

	found->level = pid_level(reader);
	found->tid = LOAD(task, TASK_PID);
	found->tgid = LOAD(task, TASK_TGID);
	found->local_tid = number_at(task, found->level);
	found->local_tgid = number_at(leader, found->level);
	found->parent_tgid = LOAD(FOLLOW(leader, TASK_REAL_PARENT), TASK_TGID);
	found->now_ns = bpf_ktime_get_ns();
	found->age_ns = bpf_ktime_get_boot_ns() - LOAD(leader, TASK_START_BOOTTIME);
	*(u64 *)&found->comm[0] = LOAD64(leader, TASK_COMM);
	*(u64 *)&found->comm[8] = LOAD64(leader, TASK_COMM + 8);
	found->uid = user_of(leader);
}
