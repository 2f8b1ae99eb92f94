/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Execs, forks and exits; and with them, who belongs to the tree the run is about. */
#include "batch.h"

int on_sched_process_fork(u64 *ctx)
{
	u32 parent = LOAD32(ctx[0], TASK_PID);
	u32 child = LOAD32(ctx[1], TASK_PID);

	/* Before the child can run: sched_process_fork comes ahead of wake_up_new_task(). */
	*member(child) = *member(parent);
	if (in_scope(child))
		counters()->forks++;
	return 0;
}

/* Here and not at the last switch: by then the number may belong to a new task. */
int on_sched_process_exit(u64 *ctx)
{
	u32 tid = LOAD32(ctx[0], TASK_PID);

	if (in_scope(tid))
		counters()->exits++;
	*member(tid) = 0;
	return 0;
}

/*
 * Every successful exec, also execveat and an exec by a thread that is not the leader. That
 * thread takes the leader's number over, after the leader's exit has cleared its membership.
 */
int on_sched_process_exec(u64 *ctx)
{
	u32 tid = LOAD32(ctx[0], TASK_PID);
	u32 old_tid = (u32)ctx[1];

	if (tid != old_tid) {
		*member(tid) = *member(old_tid);
		*member(old_tid) = 0;
	}
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
