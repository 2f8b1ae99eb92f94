/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Block I/O latency: from the issue to the device until its completion, and from the
 * allocation of the request, which includes the time in the queue. Requests are identified by
 * address: flushes share sectors, and merges change them.
 */
#include "folded.h"

/* A block request between its allocation or issue and its completion. */
struct issued_request {
	u64 key; /* from its address, by key_of(); 0: the entry is free */
	u64 since; /* time of the issue; 0: not issued yet */
	u64 kind; /* BLOCK_BY_KERNEL, or 0 */
};

_Static_assert(sizeof(struct issued_request) == REQUEST_SIZE, "issued_request");

#if WITH_BIOLATENCY

/*
 * Requests in flight are in one table without a lock, since no two CPUs handle the same request
 * between its issue and its completion. Two CPUs may take the same empty entry at the same moment;
 * the request that loses the entry is timed from its allocation and counted as unmatched.
 */
inline_always struct issued_request *request_at(u32 index)
{
	return (struct issued_request *)(MAP_VALUE(REQUESTS_FD) +
					 (index & (MAX_REQUESTS - 1)) * sizeof(struct issued_request));
}

/*
 * A request's address as a number. The only number that the verifier lets a program derive from a
 * pointer is its distance from another (adjust_reg_min_max_vals()): here, from the table.
 */
inline_always u64 key_of(u64 request)
{
	u64 key = request - MAP_VALUE(REQUESTS_FD);

	__asm__ volatile("" : "+r"(key)); /* keep the compiler from distributing the multiplication */
	return key;
}

/* Fibonacci hashing (Knuth, TAOCP 6.4): requests are adjacent in memory. */
inline_always u32 first_index(u64 key)
{
	return key * 0x9E3779B97F4A7C15ULL >> 40;
}

/* The first of a request's possible entries that it owns or, with `or_free`, is free; else NULL. */
inline_always struct issued_request *place_of(u64 key, bool or_free)
{
	u32 first = first_index(key);

#pragma unroll
	for (u32 step = 0; step < REQUEST_PROBES; step++) {
		struct issued_request *entry = request_at(first + step);

		if (entry->key == key || (or_free && entry->key == 0))
			return entry;
	}
	return NULL;
}

/* The request's entry; NULL if it has none. */
inline_always struct issued_request *find_request(u64 request)
{
	return place_of(key_of(request), false);
}

/*
 * Return an entry for the request, or NULL if all its possible entries are in use. The entry may
 * be a stale one with the same address, whose completion was not seen. A second stale one further
 * on does no harm: this one is found first.
 */
inline_always struct issued_request *room_for_request(u64 request)
{
	u64 key = key_of(request);
	struct issued_request *entry = place_of(key, true);

	if (entry)
		entry->key = key;
	return entry;
}

inline_always void remember(u64 request, u64 since)
{
	u64 task = (u64)bpf_get_current_task_btf();
	u32 tid = LOAD32(task, TASK_PID);
	bool by_kernel = LOAD32(task, TASK_FLAGS) & PF_KTHREAD;

	if (!by_kernel && !in_scope(tid)) {
		struct issued_request *known = find_request(request);

		/* A request that was merged into another never completes, and its address is reused. */
		if (known)
			known->key = 0;
		return;
	}

	struct issued_request *entry = room_for_request(request);

	if (!entry) {
		batch_of(STREAM_BIOLATENCY)->collided++;
		return;
	}
	entry->since = since;
	entry->kind = by_kernel ? BLOCK_BY_KERNEL : 0;
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
	remember(ctx[0], 0);
	return 0;
}
#endif

int on_block_rq_issue(u64 *ctx)
{
	u64 request = ctx[BLOCK_ISSUE_REQUEST];
	u64 now = bpf_ktime_get_ns();
#if KNOWN_BEFORE_ISSUE
	struct issued_request *known = find_request(request);

	if (known)
		known->since = now;
#else
	remember(request, now);
#endif
	return 0;
}

/* The driver gave the request back: it is queued again, and will be issued again. */
int on_block_rq_requeue(u64 *ctx)
{
	u64 request = ctx[BLOCK_ISSUE_REQUEST];
	struct issued_request *known = find_request(request);

	if (known)
		known->since = 0; /* the entry stays: block_io_start does not fire again */
	return 0;
}

/* REQ_OP_* are the low 8 bits of cmd_flags (include/linux/blk_types.h); odd ones are writes. */
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

/*
 * A request for whose event there is no room. Its device, operation and size are not kept; that it
 * has no latency of its own is (BLOCK_NOT_TIMED).
 */
inline_always void fold_request(struct batch *batch, u64 kind, u64 device_ns, u64 total_ns)
{
	bool timed = !(kind & (BLOCK_NOT_TIMED | (SCOPED ? BLOCK_BY_KERNEL : 0)));

	if (timed)
		fold(BLOCK_DEVICE, device_ns);
	else
		fold_nothing(BLOCK_DEVICE);
	if (timed && total_ns <= LATENCY_MAX)
		fold(BLOCK_WITH_QUEUE, total_ns);
	else
		fold_nothing(BLOCK_WITH_QUEUE);
	event_folded(batch);
}

int on_block_rq_complete(u64 *ctx)
{
	u64 now = bpf_ktime_get_ns();
	u64 request = ctx[0];
	u32 bytes = (u32)ctx[2];
	u32 remaining = LOAD32(request, REQUEST_DATA_LEN);
	u32 flags = LOAD32(request, REQUEST_CMD_FLAGS);

	/* Fires once per part; the request is complete when all its bytes are. */
	if (bytes < remaining) {
		counters()->partial++;
		return 0;
	}

	struct issued_request *known = find_request(request);
	struct batch *batch = batch_of(STREAM_BIOLATENCY);
	u64 allocated = LOAD64(request, REQUEST_START_TIME);
	u32 op = operation(flags);
	u64 kind = op, since = 0;

	if (known) {
		since = known->since;
		kind |= known->kind;
		known->key = 0;
	} else if (SCOPED) {
		return 0; /* submitted out of scope */
	}
	if (!since && allocated >= run_config()->start_ns) {
		/* Flushes may complete without having been issued; requests with data do not. */
		if (bytes)
			batch->unmatched++;
		since = allocated;
		kind |= BLOCK_UNISSUED;
	} else if (!since) {
		since = now;
		kind |= BLOCK_IN_FLIGHT;
		batch->in_flight++;
	}
	/* The second completion of a write that carried a flush; the flush was never issued. */
	if (bytes == 0 && op == BLOCK_WRITE)
		kind |= BLOCK_EMPTY;

	u64 device_ns = latency(batch, now, since);
	u64 total_ns = allocated ? latency(batch, now, allocated) : LATENCY_UNKNOWN;
	u64 *event = room_or_fold(ctx, batch, 4);

	if (rarely(!event)) {
		fold_request(batch, kind, device_ns, total_ns);
		return 0;
	}

	u64 disk = LOAD64(LOAD64(request, REQUEST_QUEUE), QUEUE_DISK);

	event[0] = device_ns | kind << LATENCY_BITS;
	event[1] = total_ns;
	event[2] = (u64)LOAD32(disk, DISK_MAJOR) << 20 | LOAD32(disk, DISK_FIRST_MINOR);
	event[3] = bytes;
	event_done(batch, 4);
	return 0;
}

#endif
