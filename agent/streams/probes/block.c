/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Block I/O latency: from the issue to the device until its completion, and from the
 * allocation of the request (with the queue in it). Requests are told apart by their address:
 * flushes share sectors, and merges change them.
 */
#include "batch.h"

#if WITH_BIOLATENCY

inline_always bool remember(u64 request, u64 since)
{
	struct issued_request issued = {};
	u64 task = (u64)bpf_get_current_task_btf();

	issued.since = since;
	issued.tid = LOAD32(task, TASK_PID);
	issued.owner = LOAD32(task, TASK_FLAGS) & PF_KTHREAD ? OWNER_KERNEL : OWNER_TASK;
	if (issued.owner == OWNER_TASK && !in_scope(issued.tid) &&
	    !is_worker_in_scope(task)) {
		/* One that was merged into another never completes, and its address is used again. */
		bpf_map_delete_elem(MAP(REQUESTS_FD), &request);
		return false;
	}
	if (bpf_map_update_elem(MAP(REQUESTS_FD), &request, &issued, BPF_ANY) != 0) {
		batch_of(STREAM_BIOLATENCY)->collided++;
		return false;
	}
	return true;
}

/* In a run about the whole system nobody is left out, and the issue tells soon enough. */
#if SCOPED && defined(HAVE_BLOCK_IO_START)
#define KNOWN_BEFORE_ISSUE 1
#else
#define KNOWN_BEFORE_ISSUE 0
#endif

#if KNOWN_BEFORE_ISSUE
/* In the context of whoever submits: an issue may run in any, once there is a queue. */
int on_block_io_start(u64 *ctx)
{
	remember(ctx[0], 0);
	return 0;
}
#endif

int on_block_rq_issue(u64 *ctx)
{
	u64 request = ctx[BLOCK_ISSUE_REQUEST];
	u64 now = bpf_ktime_get_ns();
#if KNOWN_BEFORE_ISSUE
	struct issued_request *known = bpf_map_lookup_elem(MAP(REQUESTS_FD), &request);

	if (known) {
		known->since = now;
		counters()->issued++;
	}
#else
	if (remember(request, now))
		counters()->issued++;
#endif
	return 0;
}

/* Given back by the driver: the wait in the queue begins again, and so will the issue. */
int on_block_rq_requeue(u64 *ctx)
{
	u64 request = ctx[BLOCK_ISSUE_REQUEST];
	struct issued_request *known = bpf_map_lookup_elem(MAP(REQUESTS_FD), &request);

	if (!known || known->since == 0)
		return 0;
	known->since = 0; /* whose it is stays known: no other task starts it anew */
	counters()->requeued++;
	return 0;
}

/* REQ_OP_* are the low 8 bits of cmd_flags (include/linux/blk_types.h); odd ones write. */
inline_always u32 operation(u32 flags)
{
	u32 op = flags & 0xff;

	if (op == 0)
		return BLOCK_READ;
	if (op == 2)
		return BLOCK_FLUSH;
	if (op == 3)
		return BLOCK_DISCARD;
	if (op >= 34) /* REQ_OP_DRV_IN and _OUT: passthrough, not in diskstats */
		return BLOCK_OTHER;
	return op & 1 ? BLOCK_WRITE : BLOCK_OTHER;
}

int on_block_rq_complete(u64 *ctx)
{
	u64 now = bpf_ktime_get_ns();
	u64 request = ctx[0];
	u32 bytes = (u32)ctx[2];
	u32 remaining = LOAD32(request, REQUEST_DATA_LEN);
	u32 flags = LOAD32(request, REQUEST_CMD_FLAGS);

	/* Fires once per part; done when all bytes are. */
	if (bytes < remaining) {
		counters()->partial++;
		return 0;
	}

	struct issued_request *known = bpf_map_lookup_elem(MAP(REQUESTS_FD), &request);
	struct issued_request issued = {};
	struct batch *batch = batch_of(STREAM_BIOLATENCY);
	u64 allocated = LOAD64(request, REQUEST_START_TIME);
	u64 start = run_config()->start_ns;
	u32 op = operation(flags);
	u64 kind = op;

	if (known) {
		issued = *known;
		bpf_map_delete_elem(MAP(REQUESTS_FD), &request);
	} else if (SCOPED) {
		return 0; /* nobody in scope submitted it */
	}
	/* An earlier issue was left behind by a run that ended before its completion. */
	if (issued.since >= start) {
		counters()->completed++;
	} else if (allocated >= start) {
		/* Flushes complete without ever having been issued. */
		issued.since = allocated;
		kind |= BLOCK_UNISSUED;
	} else {
		issued.since = now;
		kind |= BLOCK_IN_FLIGHT;
		batch->in_flight++;
	}
	/* The second completion of a write that carried a flush, which never was issued. */
	if (bytes == 0 && op == BLOCK_WRITE)
		kind |= BLOCK_EMPTY;
	if (issued.owner == OWNER_KERNEL)
		kind |= BLOCK_BY_KERNEL;

	u64 *event = event_room(ctx, batch, 4);

	if (!event)
		return 0;

	u64 disk = LOAD64(LOAD64(request, REQUEST_QUEUE), QUEUE_DISK);
	u64 device = (u64)LOAD32(disk, DISK_MAJOR) << 20 | LOAD32(disk, DISK_FIRST_MINOR);

	event[0] = latency(batch, now, issued.since) | kind << LATENCY_BITS;
	event[1] = allocated ? latency(batch, now, allocated) : LATENCY_UNKNOWN;
	event[2] = device | (u64)issued.tid << 32;
	event[3] = bytes;
	event_done(batch, 4);
	return 0;
}

#endif
