/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Forks, execs and exits, and membership of the run's tree or cgroup, which follows from them. */
#include "sections/syscall_counts/times.h"
#include "members.h"
#include "summaries.h"
#include "turns.h"

/*
 * Runs before the task can, in the task that creates it. It fires in copy_process(), where
 * /proc/stat counts forks too, so also for threads that the kernel creates for a process: workers
 * of io_uring and vhost, of which sched_process_fork says nothing (create_io_thread(),
 * vhost_task_create()).
 */
int on_task_newtask(u64 *ctx)
{
	u32 creator = (u32)bpf_get_current_pid_tgid();
	u32 child = LOAD32(ctx[0], TASK_PID);
	struct cpu_counters *c = counters();

	wall_left(child); /* an earlier task with that id may not have been switched out yet */
	*member(child) = *member(creator);
#if SCOPED && defined(TASK_CGROUPS)
	/* CLONE_INTO_CGROUP: the child is in its own cgroup by now (cgroup_post_fork()) */
	if ((scope_cgroup() || *member(child)) &&
	    read_pointer(bpf_get_current_task() + TASK_CGROUPS) != LOAD64(ctx[0], TASK_CGROUPS)) {
		if (scope_cgroup())
			*member(child) = belongs(ctx[0], run_config());
		else
			c->cgroup_moves++;
	}
#endif
	c->all_forks++;
	if (!in_scope(child)) {
		/* an earlier task with that id may have run after its exit was reported */
		if (WITH_TASK_TIMES)
			disown(child);
		return 0;
	}
	c->forks++;
#if WITH_SYSCALL_TIMES
	new_entry(child);
#endif
	if (WITH_TASK_TIMES)
		begin_life(child, bpf_ktime_get_ns());
	return 0;
}

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
int on_sched_process_exit(u64 *ctx)
{
	u64 task = ctx[0];
	u32 tid = LOAD32(task, TASK_PID);

	if (!in_scope(tid)) {
		*member(tid) = 0;
		return 0;
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
	return 0;
}

/*
 * Fires for every successful exec, also for execveat and for an exec by a thread that is not the
 * leader. That thread takes over the leader's id, whose membership the leader's exit has cleared.
 */
int on_sched_process_exec(u64 *ctx)
{
	u32 tid = LOAD32(ctx[0], TASK_PID);
	u32 old_tid = (u32)ctx[1];

	if (tid != old_tid) {
		*member(tid) = *member(old_tid);
		*member(old_tid) = 0;
		if (WITH_TASK_TIMES)
			move_slot(old_tid, tid);
#if WITH_SYSCALL_TIMES
		move_entry(old_tid, tid);
#endif
	}
	wall_execed(ctx[0], tid, old_tid);
#if WITH_EXEC
	struct batch *batch = batch_of(STREAM_EXEC);

	if (!in_scope(tid)) {
		batch->excluded++;
		return 0;
	}

	u64 *event = event_room(ctx, batch, 4);

	if (!event)
		return 0;
	event[0] = tid | (u64)old_tid << 32;
	event[1] = LOAD64(ctx[0], TASK_COMM);
	event[2] = LOAD64(ctx[0], TASK_COMM + 8);
	event[3] = bpf_ktime_get_ns();
	event_done(batch, 4);
#endif
	return 0;
}

#if SCOPED
/*
 * (cgroup, path, task, threadgroup), after the move. It fires for the leader only: for the other
 * threads the supervisor runs the iterator again, when the agent has seen the count change.
 */
int on_cgroup_attach_task(u64 *ctx)
{
	const struct run_config *config = run_config();
	u32 tid = LOAD32(ctx[2], TASK_PID);

	if (scope_cgroup() || *member(tid))
		counters()->cgroup_moves++;
	if (!scope_cgroup())
		return 0;
	*member(tid) = belongs(ctx[2], config);
	if (WITH_TASK_TIMES && !*member(tid))
		leave_scope(tid);
#if MEASURES_WALL
	if (*member(tid))
		wall_prime(ctx[2], tid, LOAD32(ctx[2], TASK_STATE));
#endif
#if WITH_SYSCALL_TIMES
	if (!*member(tid))
		leave_call(tid);
#endif
	return 0;
}

/* (cgroup, path) */
int on_cgroup_rmdir(u64 *ctx)
{
#ifdef TASK_CGROUPS
	if (is_version_2(ctx[0]))
		cgroup_removed(ctx[0]);
#endif
	return 0;
}

int on_cgroup_mkdir(u64 *ctx)
{
#ifdef TASK_CGROUPS
	if (is_version_2(ctx[0]))
		cgroup_made(ctx[0]);
#endif
	return 0;
}
#endif
