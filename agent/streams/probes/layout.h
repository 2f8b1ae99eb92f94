/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What the kernel side and the Python side both look at. The sizes and codes come in as -D
 * constants from layout.py, which builds its numpy views from the same numbers; the assertions
 * below fail the compilation where the two would disagree.
 */
#pragma once
#include <linux/types.h>

/*
 * One task: in which state it is, since when, and what its states have come to. Indexed by
 * tid & SLOT_MASK; one cache line. Sums begin at the run's start or the task's birth.
 */
struct task_slot {
	u32 tid;
	u32 tag; /* state, flags << 8, reason << 16 */
	u64 since;
	u64 wait_ns;	  /* on a run queue */
	u64 preempted_ns; /* of these, after having been preempted */
	u64 oncpu_ns;
	u64 blocked_ns;
	s64 apart_ns; /* what the scheduler accounts more of these waits (accounts.h) */
	u32 waits;
	union {
		u32 run_delay; /* the lower half of the kernel's, as far as dealt with (accounts.h) */
		u32 pcount;    /* with timing by the kernel's accounting: arrivals as last seen */
	};
};

_Static_assert(sizeof(struct task_slot) == SLOT_SIZE, "task_slot");

/* When the sums of a slot began, and what the kernel's own accounting said then. */
struct task_origin {
	u64 run_delay;
	u64 runtime;
	u32 pcount;   /* the lower half */
	u32 slept_us; /* of sleeps, what the kernel has accounted as waits since (accounts.h) */
	u64 born_ns;  /* 0: the slot was taken over in the middle of its life */
	u32 remote_waits; /* that a wakeup on another CPU began */
	u32 turns_unseen; /* of which we know less than the kernel */
};

_Static_assert(sizeof(struct task_origin) == ORIGIN_SIZE, "task_origin");

/*
 * A task's account beside the kernel's: an event of its exit, and a record of the task iterator
 * for those that are alive at the stop. Intervals that are open at `now_ns` are included.
 */
struct task_summary {
	u32 tid;
	u32 tgid;
	char comm[16];
	u32 state; /* the slot's, or SLOT_EXITED */
	u32 kernel_thread;
	u64 now_ns;
	u64 born_ns;
	u64 wait_ns;
	u64 preempted_ns;
	u64 oncpu_ns;
	u64 blocked_ns;
	u64 open_ns; /* of the state it is in; included above */
	u32 waits;
	u32 slept_us;
	u64 kernel_run_delay;
	u64 kernel_runtime;
	u32 kernel_pcount;
	u32 remote_waits;
	s64 apart_ns;
};

_Static_assert(sizeof(struct task_summary) == SUMMARY_SIZE, "task_summary");

/*
 * The open batch of one stream on one CPU, and what that stream could not keep. From `words`
 * to the end of the events is what one ring record carries; with perf buffers the record
 * starts at `id`, since perf puts its own u32 length in front of it.
 */
struct batch {
	u64 seen;  /* whatever passed the program, kept or not; beside the words that it writes */
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
	u64 padding[7]; /* a batch of the next CPU never shares a cache line */
};

_Static_assert(sizeof(struct batch) == BATCH_SIZE, "batch");
_Static_assert(__builtin_offsetof(struct batch, words) == BATCH_HEAD, "batch.words");
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
	u64 exec_failures[ERRNOS]; /* 0: an error beyond the table */
	u64 blocked_unmatched; /* woken, but nobody saw it go to sleep */
	u64 blocked_collided;
	u64 blocked_clamped;
	u64 wakeup_unseen; /* switched in while still marked as blocked */
	u64 forks;	   /* in scope */
	u64 all_forks;
	u64 exits;
	u64 members;   /* changes of membership by the task iterator */
	u64 cgroup_moves;
	u64 partial; /* completions of a part of a request */
	u64 excluded_syscalls;
	u64 execs_not_awaited; /* attempts whose end we could not be told of */
	u64 current; /* CURRENT_*: whether the task that runs here is in scope */
	u64 padding[3];
};

_Static_assert(sizeof(struct cpu_counters) == COUNTERS_SIZE, "cpu_counters");

/* Written by the supervisor before anything is attached; read-only here. */
struct run_config {
	u64 start_ns;
	u64 cgroup_id; /* 0: the tree below root_tgid is what the run is about */
	u32 root_tgid;
	u32 agent_tgid; /* never a member of a scope: the supervisor, and with it the agent */
	u64 clock_offset; /* rq_clock - bpf_ktime_get_ns(), for timing by accounting */
};

_Static_assert(sizeof(struct run_config) == CONFIG_SIZE, "run_config");
