/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What the kernel side and the Python side both look at. The sizes and codes come in as -D
 * constants from layout.py, which builds its numpy views from the same numbers; the assertions
 * below fail the compilation where the two would disagree.
 */
#pragma once
#include <linux/types.h>

/* Time stamps of one task: in which state it is, and since when. Indexed by tid & SLOT_MASK. */
struct task_slot {
	u32 tid;
	u32 tag; /* state, flags << 8, reason << 16 */
	u64 since;
};

_Static_assert(sizeof(struct task_slot) == SLOT_SIZE, "task_slot");

/*
 * The open batch of one stream on one CPU, and what that stream could not keep. The leading
 * 16 bytes and the events are what one ring record carries; with perf buffers the record
 * starts at `id`, since perf puts its own u32 length in front of it.
 */
struct batch {
	u32 words; /* of events, in use */
	u32 id;	   /* cpu << 8 | stream */
	u64 seq;   /* batches handed over so far */
	u64 events[BATCH_WORDS];
	u64 lost;	/* events dropped because the transport was full */
	u64 unmatched;	/* ends without a beginning */
	u64 clamped;	/* negative differences, taken as 0 */
	u64 collided;	/* intervals given up because another task took the slot */
	u64 in_flight;	/* intervals already open at the start, so not timed */
	u64 excluded;	/* events of the agent itself, or out of scope */
	u64 padding[8]; /* a batch of the next CPU never shares a cache line */
};

_Static_assert(sizeof(struct batch) == BATCH_SIZE, "batch");
_Static_assert(__builtin_offsetof(struct batch, lost) == BATCH_LOST_OFFSET, "batch.lost");

/* Sum of closed intervals, and how many there were. */
struct interval_sum {
	u64 ns;
	u64 count;
};

/* Everything that is only ever counted, one per CPU. */
struct cpu_counters {
	struct interval_sum blocked[2][REASONS]; /* interruptible, uninterruptible */
	u64 syscalls[SYSCALLS];
	u64 blocked_unmatched; /* woken, but nobody saw it go to sleep */
	u64 blocked_collided;
	u64 blocked_clamped;
	u64 wakeup_unseen; /* switched in while still marked as blocked */
	u64 forks;
	u64 exits;
	u64 issued;    /* block requests handed to their device */
	u64 completed; /* ... and of these, completed */
	u64 switches;
	u64 members; /* tasks added to the scope by the task iterator */
	u64 partial; /* completions of a part of a request */
	u64 requeued;
	u64 excluded_syscalls;
	u64 padding[3];
};

_Static_assert(sizeof(struct cpu_counters) == COUNTERS_SIZE, "cpu_counters");

/* Written by the supervisor before anything is attached; read-only here. */
struct run_config {
	u64 start_ns;
	u32 root_tgid; /* the tree that is in scope, or left out of it */
	u32 padding;
};

/* A block request between issue and completion. */
struct issued_request {
	u64 since;
	u32 tid;
	u32 padding;
};
