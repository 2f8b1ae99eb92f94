/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Memory that the kernel side and the Python side share. Sizes and codes come in as -D constants
 * from layout.py, which builds its numpy views from the same numbers; the assertions below fail
 * the compilation where the two would disagree.
 */
#pragma once
#include <linux/types.h>

/*
 * One task's state, when it entered that state, and the time spent in each state since the run's
 * start or the task's birth. Indexed by tid & SLOT_MASK; one cache line. With timing by the
 * kernel's accounting the marked fields hold something else (timing.h).
 */
struct task_slot {
	u32 tid; /* 0: free */
	u32 tag; /* state, flags << 8, reason (of a stop: its kind; of a preemption: turns.h) << 16 */
	u64 since;
	u64 wait_ns;	  /* on a run queue (timing.h) */
	u64 preempted_ns; /* the part of it that followed a preemption */
	u64 oncpu_ns;	  /* (timing.h) */
	u64 blocked_ns;
	s64 scheduler_excess_ns; /* by the scheduler's clock the same waits took this much more */
	u32 waits;
	u32 kernel_seen; /* low 32 bits of a counter of the kernel, as last seen (timing.h) */
};

_Static_assert(sizeof(struct task_slot) == SLOT_SIZE, "task_slot");

/*
 * The zero point of a slot's sums: when they began, and what the kernel's own account said then.
 * docs/explanation/task-accounts.md says how the two accounts are compared.
 */
struct task_origin {
	u64 run_delay; /* and what the scheduler accounted since for waits that we did not time */
	u64 runtime;
	u32 pcount;	      /* low 32 bits; and arrivals since that ended no wait we timed */
	u32 sleep_as_wait_us; /* sleep that the scheduler accounted as waits since */
	u64 born_ns; /* later by all time excluded since; 0: taken over in mid-life, not compared */
	s64 turn_excess_ns; /* by the scheduler's clock the turns since took this much more */
	u32 reported;	    /* at the stop: what the task does from then on is in no summary */
	u32 seen_by_first;  /* a mark: its event needs no second program (process.c) */
};

_Static_assert(sizeof(struct task_origin) == ORIGIN_SIZE, "task_origin");

/*
 * What the scheduler's accounting of a CPU is compared with: one row per CPU. Only programs see this
 * table, since it holds an address of the kernel's.
 */
struct run_queue {
	u64 address;	/* of the kernel's struct rq; 0: not known yet */
	u64 arrived_ns; /* when the task that runs here came to this CPU, by our clock */
	u64 runtime;	/* its se.sum_exec_runtime then */
	s64 wait_excess_ns; /* by the scheduler's clock its wait before took this much more */
	s64 wait_unexplained_ns; /* the same if that has not been explained yet, or 0 */
	u64 task_clock; /* as the task came to this CPU: the kernel's rq.clock_task */
	u64 padding[2];
};

_Static_assert(sizeof(struct run_queue) == RUN_QUEUE_SIZE, "run_queue");

/*
 * A task's account next to the kernel's: the event of its exit, and a record of the task iterator
 * for each task alive at the stop. Intervals that are open at `now_ns` are included, except an
 * open wait.
 */
struct task_summary {
	u32 tid;
	u32 local_tid; /* in the pid namespace of the agent; 0: it has none there */
	char comm[16];
	u32 state; /* the slot's, or SLOT_EXITED */
	u16 kernel_thread;
	u16 reason; /* of a block that is open */
	u64 now_ns;
	u64 born_ns;
	u64 wait_ns;
	u64 preempted_ns;
	u64 oncpu_ns;
	u64 blocked_ns;
	u64 open_ns; /* since the current state began */
	u32 waits;
	u32 sleep_as_wait_us;
	u64 kernel_run_delay;
	u64 kernel_runtime;
	u32 kernel_pcount;
	s32 turn_excess_us;
	s64 scheduler_excess_ns;
};

_Static_assert(sizeof(struct task_summary) == SUMMARY_SIZE, "task_summary");

/*
 * The open batch of one stream on one CPU, and counts of what the stream could not keep. A ring
 * record carries everything from `words` to the end of the events; with perf buffers the record
 * starts at `id`, since perf puts its own u32 length in front of it.
 */
struct batch {
	u64 seen;  /* calls of the program, kept or not; near the words that it writes */
	u32 words; /* of events, in use */
	u32 id;	   /* cpu << 8 | stream */
	u64 seq;   /* batches handed over so far */
	u64 events[BATCH_WORDS];
	u64 lost;	/* events dropped because the transport was full */
	u64 unmatched;	/* ends without a beginning */
	u64 clamped;	/* negative differences, taken as 0 */
	u64 collided;	/* intervals dropped because another task took the slot */
	u64 in_flight;	/* intervals already open at the start, so not timed */
	u64 excluded;	/* events of tasks out of scope, the agent's included */
	u64 folded;	/* events folded here because the transport was full (folded.h) */
	u64 padding[6]; /* no two batches share a cache line */
};

_Static_assert(sizeof(struct batch) == BATCH_SIZE, "batch");
_Static_assert(__builtin_offsetof(struct batch, words) == BATCH_HEAD, "batch.words");
_Static_assert(__builtin_offsetof(struct batch, lost) == BATCH_LOST_OFFSET, "batch.lost");

/*
 * What the bins of latencies folded in the kernel leave open, by CPU and distribution. The bins are
 * u32, one table of FOLD_BINS after the other.
 */
struct folded_sums {
	u64 count; /* in the bins */
	u64 ns;
	u64 lowest; /* valid if count is not 0 */
	u64 highest;
	u64 overflow; /* latencies above FOLD_HIGHEST, counted nowhere else */
	u64 absent;   /* folded events that have no such latency */
	u64 padding[2];
};

_Static_assert(sizeof(struct folded_sums) == FOLD_SUMS_SIZE, "folded_sums");
_Static_assert(FOLD_TABLE_SIZE == FOLD_BINS * sizeof(u32), "folded bins");

/* Total length and number of closed intervals. */
struct interval_sum {
	u64 ns;
	u64 count;
};

/* Counters, one set per CPU. */
struct cpu_counters {
	struct interval_sum blocked[2][REASONS]; /* interruptible, uninterruptible */
	struct interval_sum stopped[STOP_KINDS];
	u64 syscalls[SYSCALLS];
	u64 exec_failures[ERRNOS]; /* 0: an error beyond the table */
	u64 blocked_unmatched; /* woken, but not seen going to sleep */
	u64 blocked_collided;
	u64 blocked_clamped;
	u64 wakeup_unseen; /* switched in while still marked as blocked */
	u64 forks;	   /* in scope */
	u64 all_forks;
	u64 exits;
	u64 members;   /* changes of membership by the task iterator */
	u64 cgroup_moves; /* of all tasks if the scope is a cgroup, else of those in scope, births too */
	u64 partial; /* completions of a part of a request */
	u64 execs_not_awaited; /* attempts whose result is not known */
	u64 execs_refused;     /* before they entered the kernel */
	u64 seccomp_tasks;     /* tasks under a seccomp filter, counted as they exit or at the stop */
	u64 io_uring_tasks;    /* tasks with an io_uring context, counted likewise */
	u64 current_scope; /* not a count: whether the task that runs here is in scope (kernel.h) */
	u64 exited_ns;	   /* not a count: when a task in scope last exited here */
};

_Static_assert(sizeof(struct cpu_counters) == COUNTERS_SIZE, "cpu_counters");

/* What an iterator says about a task, and about its process, to the process that runs it. */
struct task_identity {
	u32 tid; /* in the initial pid namespace, as everywhere else */
	u32 tgid;
	u32 local_tid; /* in the namespace of the process that runs the iterator */
	u32 local_tgid;
	u32 parent_tgid;
	u32 level;  /* how deep that namespace is nested; 0: it is the initial one */
	u64 now_ns; /* the time at which this was written */
	u64 age_ns; /* since the process was created, with the time that the machine was suspended */
	char comm[16]; /* of the process's main thread */
	u32 uid; /* of the process; NO_UID if it acts for more than one user */
	u32 padding;
};

_Static_assert(sizeof(struct task_identity) == IDENTITY_SIZE, "task_identity");

/* Written by the supervisor, all but the last two fields before anything is attached; read-only here. */
struct run_config {
	u64 start_ns;
	u32 root_tgid; /* of the tree that is the scope, unless that is a cgroup (cgroups.h) */
	u32 agent_tgid; /* the supervisor, whose tree (with the agent) is never in scope */
	u64 clock_offset; /* rq_clock - bpf_ktime_get_ns(), for timing by accounting */
	u64 pid_level; /* how deep the agent's pid namespace is nested; 0: it is the initial one */
	u64 counted_from_ns; /* from when on nothing goes unseen; 0 while attaching and detaching */
	u64 primed; /* whether what every task was doing once all was attached has been noted (tasks.c) */
};

_Static_assert(sizeof(struct run_config) == CONFIG_SIZE, "run_config");
