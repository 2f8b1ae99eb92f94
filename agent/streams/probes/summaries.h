/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The report on one task: our account, and the kernel's since the same moment. */
#pragma once
#include "accounts.h"
#include "identity.h"

/*
 * Count a task that may do what no syscall count shows: a seccomp filter refuses calls before
 * sys_enter fires, and what an io_uring is asked to do is no call. Called once for each task, as it
 * exits or at the stop; atomic, because the iterator may be interrupted by an exit.
 */
inline_always void count_what_hides_calls(u64 task)
{
	if (LOAD(task, TASK_FLAGS) & PF_IO_WORKER)
		return; /* makes no calls itself */
#ifdef TASK_SECCOMP_MODE
	if (rarely(LOAD(task, TASK_SECCOMP_MODE)))
		__sync_fetch_and_add(&counters()->seccomp_tasks, 1);
#endif
#ifdef TASK_IO_URING
	if (rarely(FOLLOW(task, TASK_IO_URING)))
		__sync_fetch_and_add(&counters()->io_uring_tasks, 1);
#endif
}

#if WITH_TASK_TIMES

/* Add the state that the task is in now to the sum it belongs to; an open wait stays open. */
inline_always void add_open_interval(struct task_summary *summary, u32 tag, u64 open)
{
	u32 state = tag & SLOT_STATE;

	summary->open_ns = open;
	if (is_away(tag) && summary->born_ns != 0)
		summary->born_ns += open;
	else if (state == SLOT_RUNNING)
		summary->oncpu_ns += open;
	else if (is_blocked(tag))
		summary->blocked_ns += open;
}

inline_always s32 microseconds(s64 ns)
{
	return ns < 0 ? -(s32)((u64)-ns / 1000) : (s32)((u64)ns / 1000);
}

inline_always void summarize_slot(struct task_summary *summary, const struct task_slot *slot,
				  const struct task_origin *origin, u64 now)
{
	s64 open = now - slot->since;

	summary->tid = slot->tid;
	summary->state = slot->tag & SLOT_STATE;
	summary->reason = is_blocked(slot->tag) ? slot->tag >> SLOT_REASON_SHIFT : 0;
	summary->now_ns = now;
	summary->born_ns = origin->born_ns;
	summary->wait_ns = waited_ns(slot, origin);
	summary->preempted_ns = slot->preempted_ns;
	summary->oncpu_ns = ran_ns(slot, origin);
	summary->blocked_ns = slot->blocked_ns;
	summary->waits = slot->waits;
	summary->sleep_as_wait_us = origin->sleep_as_wait_us;
	summary->turn_excess_us = microseconds(origin->turn_excess_ns);
	summary->scheduler_excess_ns = slot->scheduler_excess_ns;
	add_open_interval(summary, slot->tag, open < 0 ? 0 : open);
}

/*
 * The scheduler's figure that compares with `oncpu_ns`. It accounts a turn at ticks and at its end,
 * so the turn that is open is taken from our clock on both sides; `seen` is whether the slot is
 * right about the task being on a CPU or not.
 */
inline_always u64 comparable_runtime(const struct task_slot *slot, const struct task_origin *origin,
				     u64 task, bool seen, u64 open)
{
	if (!seen)
		return RUNTIME_UNKNOWN;
	if ((slot->tag & SLOT_STATE) != SLOT_RUNNING)
		return LOAD(task, TASK_RUNTIME) - origin->runtime;
#if TIMING_ACCOUNTING
	return ran_ns(slot, origin) + open;
#elif WITH_TURN_ACCOUNT
	struct run_queue *here = run_queue(LOAD(task, TASK_CPU));
	u64 before = *(volatile u64 *)&here->runtime; /* first: a later arrival changes both */

	return is_noted(here, slot) ? before - origin->runtime + open : RUNTIME_UNKNOWN;
#else
	return RUNTIME_UNKNOWN;
#endif
}

inline_always void summarize_task(struct task_summary *summary, u64 task,
				  const struct task_slot *slot, u64 now)
{
	struct task_origin *origin = origin_of(slot->tid);
	bool running = (slot->tag & SLOT_STATE) == SLOT_RUNNING;
	bool on_cpu = LOAD(task, TASK_ON_CPU) != 0;

	summarize_slot(summary, slot, origin, now);
	summary->local_tid =
		rarely(run_config()->pid_level) ? number_at(task, run_config()->pid_level) : slot->tid;
	summary->kernel_thread = (LOAD(task, TASK_FLAGS) & PF_KTHREAD) != 0;
	summary->kernel_run_delay = LOAD(task, TASK_RUN_DELAY) - origin->run_delay;
	if (!running || !on_cpu || arrived_unseen(slot, task))
		summary->kernel_run_delay -= open_run_delay(slot, task);
	if (!TIMING_ACCOUNTING && running)
		summary->scheduler_excess_ns +=
			not_explained_yet(slot, run_queue(LOAD(task, TASK_CPU)));
	summary->kernel_runtime =
		comparable_runtime(slot, origin, task, running == on_cpu, summary->open_ns);
	summary->kernel_pcount = (u32)LOAD(task, TASK_PCOUNT) - origin->pcount;
	*(u64 *)&summary->comm[0] = LOAD64(task, TASK_COMM);
	*(u64 *)&summary->comm[8] = LOAD64(task, TASK_COMM + 8);
}

#endif
