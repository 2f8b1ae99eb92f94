/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Requests and bios in flight, by address. */
#pragma once
#include "folded.h"

/* A block request between its allocation or issue and its completion, or a bio. */
struct issued_request {
	u64 key; /* from its address, by key_of(); 0: the entry is free */
	u64 since; /* time of the issue; 0: not issued yet */
	u32 kind; /* operation, BLOCK_BY_KERNEL, BLOCK_BIO */
	u32 tid; /* of the task that submitted it, or in whose context it was issued */
	u32 device; /* major << 20 | minor */
	u32 bytes; /* of a bio, which no longer knows them at its completion */
	char comm[16];
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
	if (op >= 34) /* REQ_OP_DRV_IN and _OUT: passthrough */
		return op & 1 ? BLOCK_OTHER_WRITE : BLOCK_OTHER_READ;
	return op & 1 ? BLOCK_WRITE : BLOCK_OTHER_READ;
}

/* Whether a completion of this kind has latencies that are in the distributions. */
inline_always bool is_timed(u64 kind)
{
	return !(kind & (SCOPED ? BLOCK_NOT_TIMED_IN_SCOPE : BLOCK_NOT_TIMED));
}

inline_always u32 device_number(u64 disk)
{
	return LOAD(disk, DISK_MAJOR) << 20 | LOAD(disk, DISK_FIRST_MINOR);
}

/*
 * From when on completions count; 0 while none does. Programs are attached and detached one after
 * the other. Until all are attached, nothing is remembered or reported: of what begins in that time
 * the end may go unseen, and the other way round. The same holds from the stop on, so that what we
 * count lies between two readings of the kernel's counts.
 */
inline_always u64 counted_from(void)
{
	return *(volatile u64 *)&run_config()->counted_from_ns;
}

/*
 * Store what begins now, or is allocated now with `since` 0, in the context of the task that
 * submits it, unless that is out of scope. With BLOCK_BY_KERNEL in `kind` it is the kernel's own in
 * whatever context. Return its entry or NULL; the caller adds the device.
 */
inline_always struct issued_request *remember(struct batch *batch, u64 address, u64 since, u32 kind)
{
	u64 task = current_task();
	u32 tid = OF_CURRENT(task, TASK_PID);
	bool by_kernel = kind & BLOCK_BY_KERNEL || OF_CURRENT(task, TASK_FLAGS) & PF_KTHREAD;

	if (rarely(!counted_from()))
		return NULL;
	if (!by_kernel && !in_scope(tid)) {
		struct issued_request *known = find_request(address);

		/* A request that was merged into another never completes, and its address is reused. */
		if (known)
			known->key = 0;
		if (kind & BLOCK_BIO) /* requests count as they complete */
			batch->excluded++;
		return NULL;
	}

	struct issued_request *entry = room_for_request(address);

	if (!entry) {
		batch->collided++;
		return NULL;
	}
	entry->since = since;
	entry->kind = kind | (by_kernel ? BLOCK_BY_KERNEL : 0);
	entry->tid = tid;
	*(u64 *)&entry->comm[0] = OF_CURRENT64(task, TASK_COMM);
	*(u64 *)&entry->comm[8] = OF_CURRENT64(task, TASK_COMM + 8);
	return entry;
}

#endif
