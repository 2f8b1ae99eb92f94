/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Block I/O latency: from the issue to the device until its completion, and from the
 * allocation of the request, which includes the time in the queue. Requests are identified by
 * address: flushes share sectors, and merges change them.
 */
#include "sections/biolatency/requests.h"

#if WITH_BIOLATENCY

inline_always u64 disk_of(u64 request)
{
#ifdef REQUEST_DISK
	return FOLLOW(request, REQUEST_DISK);
#else
	return FOLLOW(FOLLOW(request, REQUEST_QUEUE), QUEUE_DISK);
#endif
}

/*
 * The block layer makes one flush for all requests that wait for one, whoever submitted those
 * (block/blk-flush.c), and any task's context may be the one that issues it. So in a run with a
 * scope it counts as the kernel's own; what a task waits for is its empty write (BLOCK_EMPTY).
 */
inline_always u32 submitter_of(u32 op)
{
	return SCOPED && op == BLOCK_FLUSH ? BLOCK_BY_KERNEL : 0;
}

inline_always void remember_request(u64 request, u64 since, u32 op)
{
	struct batch *batch = batch_of(STREAM_BIOLATENCY);
	struct issued_request *entry = remember(batch, request, since, op | submitter_of(op));

	if (entry)
		entry->device = device_number(disk_of(request));
}

/* In a run of the whole machine every task is in scope, so the issue's context is good enough. */
#if SCOPED && defined(HAVE_BLOCK_IO_START)
#define KNOWN_BEFORE_ISSUE 1
#else
#define KNOWN_BEFORE_ISSUE 0
#endif

#if KNOWN_BEFORE_ISSUE
/* Runs in the submitter's context; with a queue, the issue may run in any context. */
int on_block_io_start(u64 *ctx)
{
	u64 request = ctx[BLOCK_START_REQUEST];

	remember_request(request, 0, operation(LOAD(request, REQUEST_CMD_FLAGS)));
	return 0;
}
#endif

int on_block_rq_issue(u64 *ctx)
{
	u64 request = ctx[BLOCK_ISSUE_REQUEST];
	u64 now = bpf_ktime_get_ns();
	u32 op = operation(LOAD(request, REQUEST_CMD_FLAGS));
#if KNOWN_BEFORE_ISSUE
	struct issued_request *known = find_request(request);

	if (known)
		known->since = now;
	else if (op == BLOCK_FLUSH) /* nobody submits it, so block_io_start does not fire */
		remember_request(request, now, op);
#else
	remember_request(request, now, op);
#endif
	return 0;
}

/* The driver gave the request back: it is queued again, and will be issued again. */
int on_block_rq_requeue(u64 *ctx)
{
	u64 request = ctx[BLOCK_REQUEUE_REQUEST];
	struct issued_request *known = find_request(request);

	if (known)
		known->since = 0; /* the entry stays: block_io_start does not fire again */
	return 0;
}

/*
 * Whether /proc/diskstats counts this completion: blk_account_io_done() for requests,
 * blk_account_io_flush() for flushes. A write that is part of a flush sequence completes twice,
 * first its data and then, without data, the sequence (block/blk-flush.c). The kernel counts the
 * second completion, when the request is no longer marked.
 */
inline_always bool is_in_diskstats(u32 op, u32 rq_flags)
{
	return op == BLOCK_FLUSH || (rq_flags & (RQF_IO_STAT | RQF_FLUSH_SEQ)) == RQF_IO_STAT;
}

/* The error of a completion as a part of the event's kind; 0 if it succeeded. */
inline_always u64 error_of(u64 *ctx)
{
#ifdef BLOCK_COMPLETE_STATUS
	return (ctx[BLOCK_COMPLETE_STATUS] & 0xff) << BLOCK_ERROR_SHIFT; /* a blk_status_t */
#else
	s32 error = ctx[BLOCK_COMPLETE_ERRNO]; /* negative */

	return error ? (u64)(-error & 0xff) << BLOCK_ERROR_SHIFT | BLOCK_ERRNO : 0;
#endif
}

/*
 * Date the beginning of a completed request whose issue was not seen: flags for the event's kind,
 * and the time in `since`.
 */
inline_always u64 unseen_issue(struct batch *batch, u64 allocated, bool is_older, u64 now,
			       bool has_data, u64 *since)
{
	*since = now;
	if (is_older) {
		batch->in_flight++;
		return BLOCK_IN_FLIGHT;
	}
	/* Flushes may complete without having been issued; requests with data do not. */
	if (has_data)
		batch->unmatched++;
	if (!allocated) /* the queue keeps no statistics (queue/iostats is 0) */
		return BLOCK_UNTIMED;
	*since = allocated;
	return BLOCK_UNISSUED;
}

/*
 * A request for whose event there is no room. Its device, operation and size are not kept; that it
 * has no latency of its own is (BLOCK_NOT_TIMED).
 */
inline_always void fold_request(struct batch *batch, u64 kind, u64 device_ns, u64 total_ns)
{
	if (is_timed(kind))
		fold(BLOCK_DEVICE, device_ns);
	else
		fold_nothing(BLOCK_DEVICE);
	if (is_timed(kind) && total_ns <= LATENCY_MAX)
		fold(BLOCK_WITH_QUEUE, total_ns);
	else
		fold_nothing(BLOCK_WITH_QUEUE);
	event_folded(batch);
}

int on_block_rq_complete(u64 *ctx)
{
	u64 now = bpf_ktime_get_ns();
	u64 request = ctx[BLOCK_COMPLETE_REQUEST];
	u32 bytes = (u32)ctx[BLOCK_COMPLETE_BYTES];
	u32 remaining = LOAD(request, REQUEST_DATA_LEN);
	u32 rq_flags = LOAD(request, REQUEST_RQ_FLAGS);
	u32 op = operation(LOAD(request, REQUEST_CMD_FLAGS));
	bool is_last = bytes >= remaining;
	u64 kind = op | error_of(ctx), since = 0;
	u64 begin = counted_from();

	if (rarely(!begin))
		return 0;
	/* Fires once per part; the request is complete when all its bytes are. */
	if (rarely(!is_last && !(kind >> BLOCK_ERROR_SHIFT))) {
		counters()->partial++;
		return 0;
	}

	struct issued_request *known = find_request(request);
	struct batch *batch = batch_of(STREAM_BIOLATENCY);
	u64 allocated = LOAD(request, REQUEST_START_TIME);
	bool is_older = allocated && allocated < begin;
	/* A part that failed, or the data of a flush sequence: the request completes once more. */
	bool goes_on = rarely(!is_last || (op != BLOCK_FLUSH && rq_flags & RQF_FLUSH_SEQ));

	/* A completion that no program saw left the entry, and the address was allocated again. */
	if (known && rarely(known->since && known->since < allocated)) {
		known->key = 0;
		known = NULL;
	}
	if (known) {
		since = known->since;
		kind |= known->kind & BLOCK_BY_KERNEL;
		if (goes_on)
			known->since = is_last ? 0 : since;
		else
			known->key = 0;
	} else if (SCOPED && op == BLOCK_FLUSH) {
		kind |= submitter_of(op);
	} else if (SCOPED) {
		/* Submitted out of scope, or before the run: the submitter is not known. */
		if (!is_older) {
			batch->excluded += !goes_on;
			return 0;
		}
		kind |= BLOCK_BY_UNKNOWN;
	}
	if (!since)
		kind |= unseen_issue(batch, allocated, is_older, now, bytes != 0, &since);
	if (is_last && is_in_diskstats(op, rq_flags))
		kind |= BLOCK_IN_DISKSTATS;
	/* The end of a flush sequence after its data, or a flush that a task asked for. */
	if (bytes == 0 && op == BLOCK_WRITE)
		kind |= BLOCK_EMPTY;

	u64 device_ns = latency(batch, now, since);
	u64 total_ns = allocated ? latency(batch, now, allocated) : LATENCY_UNKNOWN;
	u64 *event = room_or_fold(ctx, batch, 4);

	if (rarely(!event)) {
		fold_request(batch, kind, device_ns, total_ns);
		return 0;
	}
	event[0] = device_ns | kind << LATENCY_BITS;
	event[1] = total_ns;
	event[2] = device_number(disk_of(request));
	event[3] = bytes;
	event_done(batch, 4);
	return 0;
}

#endif
