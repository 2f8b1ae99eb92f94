/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Forks, execs and exits, and membership of the run's tree or cgroup, which follows from them. */
#include "sections/syscall_counts/times.h"
#include "members.h"
#include "summaries.h"
#include "turns.h"

/*
 * What begins and ends tasks must not go by unseen. The kernel skips a program for an event if the
 * same program has been preempted on that CPU, which it can be since 7.0 (kernel.h): also as
 * preemption is allowed again at its end. There each of these tracepoints has two programs, which
 * take note of the same: the second one does so only if the first was skipped. The kernel runs them
 * in the order of attaching (func_add() in kernel/tracepoint.c), in the task that the event is of.
 * An event is lost only if both were skipped, which is counted
 * (docs/decisions/0041-programs-that-are-preempted.md): a mark that the second one did not see is
 * of that event alone. Only execs of one task cannot be told apart.
 *
 * Each runs with preemption off: neither the other one nor a switch may come upon half an account.
 */
/* What a mark is of: a task that was created, which it is the id of, or one of these. */
#define MARK_OF_EXIT 0x80000000
#define MARK_OF_EXEC 0x40000000

#if SECOND_PROGRAMS
/* Two tasks may share a place for the mark, and marks of an earlier run may be left there. */
inline_always u32 seen_mark(u32 tid, u32 event)
{
	return tid ^ (u32)run_config()->start_ns ^ event * 2654435761U;
}
#endif

inline_always void mark_seen(u32 event)
{
#if SECOND_PROGRAMS
	u32 tid = (u32)bpf_get_current_pid_tgid();

	origin_of(tid)->seen_by_first = seen_mark(tid, event);
#endif
}

#if SECOND_PROGRAMS

/* Whether the first program has seen the event that the second one runs for. */
inline_always bool was_seen(u32 event)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();
	struct task_origin *origin = origin_of(tid);

	if (origin->seen_by_first != seen_mark(tid, event))
		return false;
	origin->seen_by_first = 0;
	return true;
}
#endif

/*
 * Runs before the task can, in the task that creates it. It fires in copy_process(), where
 * /proc/stat counts forks too, so also for threads that the kernel creates for a process: workers
 * of io_uring and vhost, of which sched_process_fork says nothing (create_io_thread(),
 * vhost_task_create()).
 */
inline_always void task_created(u64 task)
{
	u32 creator = (u32)bpf_get_current_pid_tgid();
	u32 child = LOAD(task, TASK_PID);
	struct cpu_counters *c = counters();

	wall_left(child); /* an earlier task with that id may not have been switched out yet */
	*member(child) = *member(creator);
#if SCOPED && defined(TASK_CGROUPS)
	/* CLONE_INTO_CGROUP: the child is in its own cgroup by now (cgroup_post_fork()) */
	if ((scope_cgroup() || *member(child)) &&
	    read_pointer(bpf_get_current_task() + TASK_CGROUPS) != FOLLOW(task, TASK_CGROUPS)) {
		if (scope_cgroup())
			*member(child) = belongs(task, run_config());
		else
			add_to(&c->cgroup_moves, 1, true);
	}
#endif
	c->all_forks++;
	if (!in_scope(child)) {
		/* an earlier task with that id may have run after its exit was reported */
		if (WITH_TASK_TIMES)
			disown(child);
		return;
	}
	c->forks++;
#if WITH_SYSCALL_TIMES
	new_entry(child);
#endif
	if (WITH_TASK_TIMES)
		begin_life(child, bpf_ktime_get_ns());
}

int on_task_newtask(u64 *ctx)
{
	preemption_off();
	task_created(ctx[NEWTASK_TASK]);
	mark_seen(LOAD(ctx[NEWTASK_TASK], TASK_PID));
	preemption_on();
	return 0;
}

#if SECOND_PROGRAMS
int on_task_newtask_2(u64 *ctx)
{
	preemption_off();
	if (!was_seen(LOAD(ctx[NEWTASK_TASK], TASK_PID)))
		task_created(ctx[NEWTASK_TASK]);
	preemption_on();
	return 0;
}
#endif

#if WITH_TASK_TIMES
inline_always void stream_summary(void *ctx, struct batch *batch, u64 task,
				  const struct task_slot *slot)
{
	struct task_summary *summary = (struct task_summary *)event_room(ctx, batch, SUMMARY_WORDS);

	if (summary) {
		summarize_task(summary, task, slot, bpf_ktime_get_ns());
		summary->state = SLOT_EXITED;
		event_done(batch, SUMMARY_WORDS);
	}
}

/* The same with what the thread was blocked in, in runs that keep that. */
inline_always void stream_report(void *ctx, u64 task, const struct task_slot *slot)
{
#if MEASURES_WALL
	struct batch *batch = batch_of(STREAM_THREADS);
	struct thread_report *report =
		(struct thread_report *)room_or_lost(ctx, batch, WALL_REPORT_WORDS, FOLDABLE);

	if (report) {
		summarize_task(&report->summary, task, slot, bpf_ktime_get_ns());
		report->summary.state = SLOT_EXITED;
		report->row = *reported_row(slot->tid);
		event_done(batch, WALL_REPORT_WORDS);
	}
#endif
}

/* Stream the account of a task that exits, and free its slot. */
inline_always void close_account(void *ctx, u64 task, u32 tid)
{
	struct batch *batch = batch_of(STREAM_EXIT);
	struct task_slot *slot = slot_of(tid);

	if (slot->tid != tid) {
		batch->unmatched++;
		thread_left(tid);
		return;
	}
	settle_exit(ctx, slot, task);
	/* a task that exits while the run is being stopped may have its row already */
	if (!origin_of(tid)->reported) {
		stream_summary(ctx, batch, task, slot);
		stream_report(ctx, task, slot);
	}
	thread_left(tid);
	slot->tid = 0;
	slot->tag = SLOT_RUNNING;
}
#endif

/* Accounts are closed here and not at the last switch: by then the id may belong to a new task. */
inline_always void task_exits(void *ctx, u64 task)
{
	u32 tid = LOAD(task, TASK_PID);

	if (!in_scope(tid)) {
		*member(tid) = 0;
		return;
	}
	if (!WITH_LAST_SWITCH)
		*member(tid) = 0;
	/* in this order: who sees that all have exited also sees when (Tables.tree_ended_ns()) */
	counters()->exited_ns = bpf_ktime_get_ns();
	counters()->exits++;
	count_what_hides_calls(task);
#if WITH_SYSCALL_TIMES
	forget_entry(tid); /* exit() never returns */
#endif
#if WITH_TASK_TIMES
	close_account(ctx, task, tid);
#endif
}

int on_sched_process_exit(u64 *ctx)
{
	preemption_off();
	task_exits(ctx, ctx[EXIT_TASK]);
	mark_seen(MARK_OF_EXIT);
	preemption_on();
	return 0;
}

#if SECOND_PROGRAMS
int on_sched_process_exit_2(u64 *ctx)
{
	preemption_off();
	if (!was_seen(MARK_OF_EXIT))
		task_exits(ctx, ctx[EXIT_TASK]);
	preemption_on();
	return 0;
}
#endif

/*
 * Fires for every successful exec, also for execveat and for an exec by a thread that is not the
 * leader. That thread takes over the leader's id, whose membership the leader's exit has cleared.
 */
inline_always void task_execs(void *ctx, u64 task, u32 old_tid)
{
	u32 tid = LOAD(task, TASK_PID);

	if (tid != old_tid) {
		*member(tid) = *member(old_tid);
		*member(old_tid) = 0;
		if (WITH_TASK_TIMES)
			move_slot(old_tid, tid);
#if WITH_SYSCALL_TIMES
		move_entry(old_tid, tid);
#endif
	}
	wall_execed(task, tid, old_tid);
#if WITH_EXEC
	struct batch *batch = batch_of(STREAM_EXEC);

	if (!in_scope(tid)) {
		batch->excluded++;
		return;
	}

	u64 *event = event_room(ctx, batch, 4);

	if (!event)
		return;
	event[0] = tid | (u64)old_tid << 32;
	event[1] = LOAD64(task, TASK_COMM);
	event[2] = LOAD64(task, TASK_COMM + 8);
	event[3] = bpf_ktime_get_ns();
	event_done(batch, 4);
#endif
}

int on_sched_process_exec(u64 *ctx)
{
	preemption_off();
	task_execs(ctx, ctx[EXEC_TASK], (u32)ctx[EXEC_OLD_PID]);
	mark_seen(MARK_OF_EXEC);
	preemption_on();
	return 0;
}

#if SECOND_PROGRAMS
int on_sched_process_exec_2(u64 *ctx)
{
	preemption_off();
	if (!was_seen(MARK_OF_EXEC))
		task_execs(ctx, ctx[EXEC_TASK], (u32)ctx[EXEC_OLD_PID]);
	preemption_on();
	return 0;
}
#endif

#if SCOPED && defined(HAVE_CGROUP_ATTACH_TASK)
/*
 * After the move. It fires for the leader only: for the other
 * threads the supervisor runs the iterator again, when the agent has seen the count change.
 */
int on_cgroup_attach_task(u64 *ctx)
{
	const struct run_config *config = run_config();
	u64 task = ctx[ATTACH_TASK];
	u32 tid = LOAD(task, TASK_PID);

	if (scope_cgroup() || *member(tid))
		add_to(&counters()->cgroup_moves, 1, true);
	if (!scope_cgroup())
		return 0;
	*member(tid) = belongs(task, config);
	if (WITH_TASK_TIMES && !*member(tid))
		leave_scope(tid);
#if MEASURES_WALL
	if (*member(tid))
		wall_prime(task, tid, LOAD(task, TASK_STATE));
#endif
#if WITH_SYSCALL_TIMES
	if (!*member(tid))
		leave_call(tid);
#endif
	return 0;
}
#endif

#if SCOPED && defined(HAVE_CGROUP_RMDIR) && defined(HAVE_CGROUP_MKDIR)
int on_cgroup_rmdir(u64 *ctx)
{
#ifdef TASK_CGROUPS
	u64 cgroup = ctx[RMDIR_CGROUP];

	if (is_version_2(cgroup))
		cgroup_removed(cgroup);
#endif
	return 0;
}

int on_cgroup_mkdir(u64 *ctx)
{
#ifdef TASK_CGROUPS
	u64 cgroup = ctx[MKDIR_CGROUP];

	if (is_version_2(cgroup))
		cgroup_made(cgroup);
#endif
	return 0;
}
#endif
