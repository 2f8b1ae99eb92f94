/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* A wake-up on its way to another CPU, as the wall time counts it. */
#include "slots.h"

#if WITH_OFFCPU && WITH_WAKING

/*
 * sched_waking: somebody wakes a task, and its CPU may not know yet. An idle CPU is asked to put the
 * task on its own run queue (ttwu_queue_wakelist()): sched_wakeup fires there once it has woken up.
 * From here on the task is not blocked, it waits for that CPU; its wakeup then changes nothing.
 *
 * The waker holds the task's pi_lock, so the task has no other event before its wakeup, unless it is
 * just about to leave its CPU. Then it still counts as computing, and its wakeup will tell. So will
 * that of a task that no event has been seen of.
 */
int on_sched_waking(u64 *ctx)
{
#if MEASURES_WALL /* a run may be without it, or the kernel */
	u64 task = ctx[WAKING_TASK];
	u32 tid = LOAD(task, TASK_PID);
	u64 unit = read_unit(wall_unit(tid));

	if ((u32)unit != tid || unit & WALL_PRIMED || !is_asleep(unit))
		return 0;

	struct task_slot *slot = slot_of(tid);
	u64 now = bpf_ktime_get_ns();

	wall_woken(task, tid, slot->tid == tid ? slot->tag : SLOT_RUNNING, now, sent_at(now));
#endif
	return 0;
}

#endif
