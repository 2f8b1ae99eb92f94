/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Task iterators (bpf_iter, since 5.8): one looks at every task once everything is attached,
 * the other reports on every task before it is detached.
 */
#include "accounts.h"
#include "sections/syscall_counts/times.h"
#include "members.h"

/*
 * Finds the members, and notes what every task is doing as the run begins, so that a wait
 * that began earlier is counted from the start, and nobody's first event lacks a beginning.
 */
int on_iter_prime(u64 *ctx)
{
	u64 task = ctx[1];
	const struct run_config *config = run_config();

	/* one that ended, and is there until its parent asks for its status, does nothing any more */
	if (!task || LOAD32(task, TASK_EXIT_STATE) != 0)
		return 0;

	u32 tid = LOAD32(task, TASK_PID);
	u8 wanted = belongs(task, config);

	/* A tree's members stay members when their parent dies; a cgroup's only while in it. */
	if (*member(tid) != wanted && (wanted || config->cgroup_id)) {
		*member(tid) = wanted;
#if TELLS_CURRENT
		counters_of(LOAD32(task, TASK_CPU))->current = CURRENT_UNKNOWN;
#endif
		counters()->members++;
		bpf_seq_write((void *)LOAD64(ctx[0], ITER_META_SEQ), &wanted, sizeof(wanted));
#if SCOPED && (WITH_RUNQLAT || WITH_OFFCPU)
		if (!wanted)
			leave_scope(tid);
#endif
	}
#if WITH_SYSCALL_TIMES
	if (in_scope(tid))
		prime_entry(task, tid, bpf_ktime_get_ns());
#endif
#if WITH_RUNQLAT || WITH_OFFCPU
	struct task_slot *slot = slot_of(tid);
	struct task_origin *origin = origin_of(tid);

	if (!in_scope(tid)) {
		disown(tid); /* it may have been seen before it was known to be out of scope */
		return 0;
	}
	if (slot->tid == tid && origin->born_ns != 0)
		return 0;
	/* Another task's. This one takes it once it runs; until then it is told of, if it is ours. */
	if (slot->tid != 0 && slot->tid != tid) {
		if (SCOPED)
			counters()->blocked_collided++;
		return 0;
	}

	u64 now = bpf_ktime_get_ns();

	origin->run_delay = LOAD64(task, TASK_RUN_DELAY);
	origin->runtime = LOAD64(task, TASK_RUNTIME);
	origin->pcount = LOAD64(task, TASK_PCOUNT);
	/* A slot that is in use already was seen by a tracepoint, which knows the state better. */
	if (slot->tid != 0) {
		begin_account(slot, tid, now);
#if TIMING_ACCOUNTING
		adopt(slot, task);
#else
		slot->run_delay = origin->run_delay;
#endif
		slot->tag |= SLOT_PRIMED;
		slot->since = now;
		return 0;
	}

	u32 state = LOAD32(task, TASK_STATE);
	u32 tag = SLOT_RUNNABLE;

	if (LOAD32(task, TASK_ON_CPU))
		tag = SLOT_RUNNING;
	else if (state != 0)
		tag = blocked_tag(task, state) | lingers(task);
	begin_account(slot, tid, now);
#if TIMING_ACCOUNTING
	adopt(slot, task);
#else
	slot->run_delay = origin->run_delay;
#endif
	slot->tag = tag | SLOT_PRIMED;
	slot->since = now;
	slot->tid = tid;
#endif
	return 0;
}

int on_iter_summary(u64 *ctx)
{
#if WITH_RUNQLAT || WITH_OFFCPU
	u64 meta = ctx[0], task = ctx[1];
	struct task_summary summary = {};

	if (!task)
		return 0;

	u32 tid = LOAD32(task, TASK_PID);
	struct task_slot *slot = slot_of(tid);

	if (!in_scope(tid) || slot->tid != tid)
		return 0;
#if TIMING_ACCOUNTING
	settle_stop(slot, task);
#endif
	leave_out_unseen(slot, task);
	summarize_task(&summary, task, slot, bpf_ktime_get_ns());
	bpf_seq_write((void *)LOAD64(meta, ITER_META_SEQ), &summary, sizeof(summary));
#endif
	return 0;
}

#if DIRECT_REGISTERS
/* Where the saved registers lie, by the kernel's own helper: the bottom of the stack, and they. */
int on_iter_registers(u64 *ctx)
{
	u64 meta = ctx[0], task = ctx[1];

	if (!task)
		return 0;

	u64 found[] = {LOAD64(task, TASK_STACK), (u64)bpf_task_pt_regs((void *)task)};

	bpf_seq_write((void *)LOAD64(meta, ITER_META_SEQ), found, sizeof(found));
	return 0;
}
#endif

#if TIMING_ACCOUNTING
/* How far the run queue's clock is from ours: at best as long ago as the supervisor came to run. */
int on_iter_clock(u64 *ctx)
{
	u64 meta = ctx[0], task = ctx[1];

	if (!task || LOAD32(task, TASK_PID) != run_config()->agent_tgid)
		return 0;

	s64 offset = LOAD64(task, TASK_LAST_ARRIVAL) - bpf_ktime_get_ns();

	bpf_seq_write((void *)LOAD64(meta, ITER_META_SEQ), &offset, sizeof(offset));
	return 0;
}
#endif
