/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Task iterators (bpf_iter, since 5.8): one looks at every task once everything is attached, one
 * reports on every task before everything is detached, and two begin, end and check the wall time
 * (wall.h). One finds the process that a number means; two more find numbers of this kernel that the
 * programs need.
 *
 * An iterator visits the tasks of the pid namespace of the process that runs it, and of those below
 * (init_seq_pidns() in kernel/bpf/task_iter.c).
 */
#include "sections/syscall_counts/times.h"
#include "identity.h"
#include "members.h"
#include "summaries.h"

/*
 * Mark the task as a member or not. A tree's members remain members when their parent dies; a
 * cgroup's are members only while they are in it.
 */
inline_always void update_membership(u64 *ctx, u64 task, u32 tid)
{
	const struct run_config *config = run_config();
	u8 wanted = belongs(task, config);

	if (*member(tid) == wanted || (!wanted && !scope_cgroup()))
		return;
	/*
	 * Its exit may have been reported already, and been none of a member's: a member that is never
	 * counted as exited would keep the run from ending with its tree.
	 */
	if (SCOPED && wanted && LOAD(task, TASK_FLAGS) & PF_EXITING)
		return;
	*member(tid) = wanted;
	forget_current_scope(task);
	counters()->members++;
	bpf_seq_write((void *)FOLLOW(ctx[0], ITER_META_SEQ), &wanted, sizeof(wanted));
	if (SCOPED && WITH_TASK_TIMES && !wanted)
		leave_scope(tid);
#if WITH_SYSCALL_TIMES
	if (!wanted)
		leave_call(tid);
#endif
}

#if WITH_TASK_TIMES

/*
 * The state of a task that does not run. The freezer of cgroup v1 turns some sleeps into
 * TASK_FROZEN without an event, and back, so to us such a task sleeps on. What it returns to is
 * saved (since 6.6); TASK_RUNNING if it was not asleep.
 */
inline_always u32 current_state(u64 task)
{
	u32 state = LOAD(task, TASK_STATE);
#ifdef TASK_SAVED_STATE
	u32 saved = LOAD(task, TASK_SAVED_STATE);

	if (state & TASK_FROZEN && saved != 0)
		return saved;
#endif
	return state;
}

/* The tag of a task that no tracepoint has seen yet. */
inline_always u32 current_tag(u64 task)
{
	u32 state = current_state(task);

	if (LOAD(task, TASK_ON_CPU))
		return SLOT_RUNNING;
	return state == 0 ? runnable_tag(task, SLOT_RUNNABLE) :
			    blocked_tag(task, state) | sleeps_queued(task);
}

/* Whether the task is no longer in the state of this tag, as far as that shows from outside. */
inline_always bool has_left(u32 tag, u64 task)
{
	if (LOAD(task, TASK_ON_CPU))
		return (tag & SLOT_STATE) != SLOT_RUNNING;
	return (tag & SLOT_STATE) == SLOT_RUNNING ||
	       (is_blocked(tag) && !(tag & SLOT_YIELDED) && LOAD(task, TASK_STATE) == 0);
}

/* Start the task's account now, in the middle of its life. */
inline_always void prime_account(struct task_slot *slot, u64 task, u32 tid)
{
	struct task_origin *origin = origin_of(tid);
	u64 now = bpf_ktime_get_ns();
	/* a tracepoint that has seen the task knows its state better */
	u32 tag = (slot->tid == tid ? slot->tag : current_tag(task)) | SLOT_PRIMED;

	origin->run_delay = LOAD(task, TASK_RUN_DELAY);
	origin->runtime = runtime_until(task, now);
	origin->pcount = LOAD(task, TASK_PCOUNT);
	begin_account(slot, tid, now);
	thread_began(tid, now);
	start_at_origin(slot, origin);
	enter_state(slot, tag, now);
	slot->tid = tid;
	/*
	 * This takes no lock. An event of the task just before the stores above was overwritten: the
	 * tag is still ours and not what the task does. Later events find the slot and say it themselves.
	 */
	if (has_left(tag, task) && *(volatile u32 *)&slot->tag == tag)
		enter_state(slot, current_tag(task) | SLOT_PRIMED, bpf_ktime_get_ns());
}

/* Give the task a slot, unless it has an account already or its slot is in use. */
inline_always void prime_slot(u64 task, u32 tid)
{
	struct task_slot *slot = slot_of(tid);

	if (!in_scope(tid)) {
		disown(tid); /* it may have been seen before it was known to be out of scope */
		return;
	}
	if (slot->tid == tid && origin_of(tid)->born_ns != 0)
		return;
	/*
	 * The slot is another task's: this one takes it when it runs, and has no account until then.
	 * That is counted only in scoped runs, which are about few tasks.
	 */
	if (slot->tid != 0 && slot->tid != tid) {
		if (SCOPED)
			add_to(&counters()->blocked_collided, 1, true);
		return;
	}
	prime_account(slot, task, tid);
}

#else

inline_always void prime_slot(u64 task, u32 tid)
{
}

#endif

/*
 * Find the members, and note what each task is doing as the run begins, so that a wait that began
 * earlier is counted from the start, and no task's first event lacks a beginning.
 */
int on_iter_prime(u64 *ctx)
{
	u64 task = ctx[1];

	/* a zombie, which stays until its parent reaps it, does nothing any more */
	if (!task || LOAD(task, TASK_EXIT_STATE) != 0)
		return 0;

	u32 tid = LOAD(task, TASK_PID);

	update_membership(ctx, task, tid);
#if WITH_SYSCALL_TIMES
	if (in_scope(tid))
		prime_entry(task, tid, bpf_ktime_get_ns());
#endif
	prime_slot(task, tid);
#if MEASURES_WALL
	if (in_scope(tid))
		wall_prime(task, tid, current_state(task));
#endif
	return 0;
}

/* Whether the iterator has been here: a row that finds no room is written anew (bpf_seq_read()). */
inline_always bool is_reported(u32 tid)
{
	return WITH_TASK_TIMES && slot_of(tid)->tid == tid && origin_of(tid)->reported;
}

/*
 * Report on a task in scope. An event of the task on another CPU at this very moment makes the
 * report wrong by the one interval that ends: moments are as rare as they are short, 0.1 µs.
 */
int on_iter_summary(u64 *ctx)
{
	u64 meta = ctx[0], task = ctx[1];

	if (!task)
		return 0;

	u32 tid = LOAD(task, TASK_PID);

	if (!in_scope(tid))
		return 0;
	if (!(LOAD(task, TASK_FLAGS) & PF_EXITING) && !is_reported(tid))
		count_what_hides_calls(task);
#if WITH_TASK_TIMES
	struct task_summary summary = {};
	struct task_slot slot;

	if (slot_of(tid)->tid != tid)
		return 0;
	origin_of(tid)->reported = true;
	settle_stop(slot_of(tid), task);
	slot = *slot_of(tid); /* events of the task go on: take its fields at one moment */
	summarize_task(&summary, task, &slot, bpf_ktime_get_ns());
	bpf_seq_write((void *)FOLLOW(meta, ITER_META_SEQ), &summary, sizeof(summary));
#if MEASURES_WALL
	bpf_seq_write((void *)FOLLOW(meta, ITER_META_SEQ), (void *)reported_row(tid),
		      sizeof(struct thread_row));
#endif
#endif
	return 0;
}

#if MEASURES_WALL
/*
 * Begin the wall time, or end it, after the last task, as one more change of the word, and write which
 * phase it is in then.
 */
int on_iter_wall(u64 *ctx)
{
	u64 now = bpf_ktime_get_ns();

	if (ctx[1])
		return 0;
	if (!wall_advance(WALL_BEFORE, WALL_BEGUN, now, true) &&
	    !wall_advance(WALL_BEGUN, WALL_ENDED, now, true))
		wall_advance(WALL_EXECED, WALL_ENDED, now, true);

	u8 phase = wall_phase(*(volatile u64 *)&wall_time()->word);

	bpf_seq_write((void *)FOLLOW(ctx[0], ITER_META_SEQ), &phase, sizeof(phase));
	return 0;
}

/* Write the unit of each task that does something else, or has none and should. */
int on_iter_wall_units(u64 *ctx)
{
	u64 task = ctx[1];

	if (!task || LOAD(task, TASK_EXIT_STATE) != 0)
		return 0;

	u32 tid = LOAD(task, TASK_PID);
	u32 state = current_state(task);
	u64 unit = read_unit(wall_unit(tid));
	bool owned = (u32)unit == tid;

	if (state & TASK_NEW || (owned ? !wall_contradicted(unit, task, state) : !in_scope(tid)))
		return 0;
	if (!owned)
		unit = tid;
	bpf_seq_write((void *)FOLLOW(ctx[0], ITER_META_SEQ), &unit, sizeof(unit));
	return 0;
}
#endif

/*
 * Identify the tasks that this iterator visits: since 6.1 just the one whose number the reader asked
 * for (bpf_iter_link_info.task.tid), on older kernels every one.
 */
int on_iter_identify(u64 *ctx)
{
	u64 meta = ctx[0], task = ctx[1];
	struct task_identity found = {};

	if (!task)
		return 0;
	identify(&found, task, bpf_get_current_task());
	bpf_seq_write((void *)FOLLOW(meta, ITER_META_SEQ), &found, sizeof(found));
	return 0;
}

#if SEARCH_REGISTERS
#define LEAST_STACK_SHIFT 12
#define STACK_SHIFTS 7

/*
 * The bottom of the stack and the saved registers of the task that runs this, without a helper: the
 * registers are the last bytes of the stack (task_pt_regs(), before x86 began to leave room above
 * them in 6.9), whose size is a power of two, and say that the task is in readv(). Outside of the
 * stack there is hardly such a number.
 */
int on_iter_registers(u64 *ctx)
{
	u64 meta = ctx[0], task = ctx[1];

	if (!task || LOAD(task, TASK_PID) != (u32)bpf_get_current_pid_tgid())
		return 0;

	u64 stack = FOLLOW(task, TASK_STACK);

	for (int i = 0; i < STACK_SHIFTS; i++) {
		u64 found[] = {stack, stack + (1ULL << (LEAST_STACK_SHIFT + i)) - PT_REGS_SIZE};

		if (READ(found[1], REGS_SYSCALL) == READV_NUMBER)
			bpf_seq_write((void *)FOLLOW(meta, ITER_META_SEQ), found, sizeof(found));
	}
	return 0;
}
#elif DIRECT_REGISTERS
/* The bottom of the task's stack and its saved registers, as the kernel's own helper finds them. */
int on_iter_registers(u64 *ctx)
{
	u64 meta = ctx[0], task = ctx[1];

	if (!task)
		return 0;

	u64 found[] = {FOLLOW(task, TASK_STACK), (u64)bpf_task_pt_regs((void *)task)};

	bpf_seq_write((void *)FOLLOW(meta, ITER_META_SEQ), found, sizeof(found));
	return 0;
}
#endif

#if TIMING_ACCOUNTING && WITH_TASK_TIMES
/*
 * The offset of the run queue's clock from ours. The supervisor was last switched in at a time of
 * the former, and the latter is read a moment later, so the largest of several results is best.
 */
int on_iter_clock(u64 *ctx)
{
	u64 meta = ctx[0], task = ctx[1];

	if (!task || LOAD(task, TASK_PID) != run_config()->agent_tgid)
		return 0;

	s64 offset = LOAD(task, TASK_LAST_ARRIVAL) - bpf_ktime_get_ns();

	bpf_seq_write((void *)FOLLOW(meta, ITER_META_SEQ), &offset, sizeof(offset));
	return 0;
}
#endif
