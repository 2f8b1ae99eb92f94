/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The kernel as our programs see it. They are BTF-typed raw tracepoints (since 5.5), so the
 * verifier knows what an argument points to and lets it be read with a plain load, where an
 * untyped raw tracepoint needs a bpf_probe_read_kernel() call for each field. Offsets are -D
 * constants taken from the running kernel's BTF; no kernel header is needed.
 */
#pragma once
#include "layout.h"

#define inline_always static inline __attribute__((always_inline))

/* Moves what rarely happens out of the way: a switch finds the instruction cache cold. */
#define rarely(condition) __builtin_expect(!!(condition), 0)

/* volatile: a load must stay the one typed load that the verifier checks against BTF */
#define LOAD8(base, offset) (*(volatile u8 *)((base) + (offset)))
#define LOAD32(base, offset) (*(volatile u32 *)((base) + (offset)))
#define LOAD64(base, offset) (*(volatile u64 *)((base) + (offset)))

/* Bits of task_struct.__state and .flags (include/linux/sched.h; unchanged since 4.14). */
#define TASK_INTERRUPTIBLE 0x0001
#define TASK_UNINTERRUPTIBLE 0x0002
#define TASK_STOPPED_OR_TRACED (0x0004 | 0x0008)
#define TASK_GONE (0x0010 | 0x0020 | 0x0080) /* EXIT_DEAD, EXIT_ZOMBIE, TASK_DEAD */
#define PF_KTHREAD 0x00200000
#define PF_EXITING 0x00000004
#define PF_IO_WORKER 0x00000010

/* A bit of x86's thread_info.status (arch/x86/include/asm/thread_info.h). */
#define TS_COMPAT 0x0002

/*
 * Maps are arrays of one large element, created beforehand and addressed directly
 * (BPF_PSEUDO_MAP_VALUE, since 5.2): an access is an AND and an ADD, without a lookup.
 */
#define MAP_VALUE(fd) ((u64)bpf_pseudo_fd(2, fd))
#define MAP(fd) ((void *)bpf_pseudo_fd(1, fd))

/*
 * Whether the task's syscall is of the 32-bit table: a 32-bit program's, or one that a 64-bit
 * program makes by int $0x80. Set from the entry to the kernel until the return.
 */
inline_always bool in_compat_syscall(u64 task)
{
#ifdef TASK_ABI_STATUS
	return (LOAD32(task, TASK_ABI_STATUS) & TS_COMPAT) != 0;
#else
	return false;
#endif
}

#if DIRECT_REGISTERS || DIRECT_RUN_QUEUE
/*
 * Leave to read at an address what the kernel's types say lies there. Since 6.2; no call, but an
 * instruction.
 */
inline_always u64 as_type(u64 address, u64 type)
{
	return ((u64(*)(u64, u64))MARK_CAST)(address, type);
}
#endif

#ifdef HAVE_TASK_PT_REGS
/*
 * What a task saved as it entered the kernel, at the top of its stack. The helper that knows where
 * is a call, of 14 ns in a switch where each return is guarded against speculation.
 */
inline_always u64 saved_registers(u64 task)
{
#if DIRECT_REGISTERS
	u64 distance;

	__asm__("%0 = %1" : "=r"(distance) : "i"(MARK_REGISTERS));
	return as_type(LOAD64(task, TASK_STACK) + distance, PT_REGS_TYPE);
#else
	return (u64)bpf_task_pt_regs((void *)task);
#endif
}
#endif

inline_always struct task_slot *slot_of(u32 tid)
{
	return (struct task_slot *)(MAP_VALUE(SLOTS_FD) + (tid & SLOT_MASK) * sizeof(struct task_slot));
}

inline_always struct cpu_counters *counters_of(u32 cpu)
{
	return (struct cpu_counters *)(MAP_VALUE(COUNTERS_FD) +
				       (cpu & CPU_MASK) * sizeof(struct cpu_counters));
}

inline_always struct cpu_counters *counters(void)
{
	return counters_of(bpf_get_smp_processor_id());
}

inline_always struct batch *batch_of(u32 stream)
{
	u32 row = (bpf_get_smp_processor_id() & CPU_MASK) * STREAMS + stream;

	return (struct batch *)(MAP_VALUE(BATCHES_FD) + row * sizeof(struct batch));
}

inline_always const struct run_config *run_config(void)
{
	return (const struct run_config *)MAP_VALUE(CONFIG_FD);
}

/*
 * Of the whole machine, sched_switch tells sys_enter whose calls are none of the run's: asking for
 * the current task is a call, and this is not.
 */
#define TELLS_CURRENT \
	(!SCOPED && !TIMING_ACCOUNTING && (WITH_RUNQLAT || WITH_OFFCPU) && WITH_SYSCALLS && \
	 !WITH_SYSCALL_TIMES)
#define CURRENT_UNKNOWN 0
#define CURRENT_IN 1
#define CURRENT_OUT 2

inline_always void tell_current(u64 task, u64 whose)
{
#if TELLS_CURRENT
	/* There are kernels that run no program as process 1 is switched out: they say nothing then. */
	counters()->current = rarely(LOAD32(task, TASK_TGID) == 1) ? CURRENT_UNKNOWN : whose;
#endif
}

/* One byte per thread id: 1 for the threads of the tree that the run is about. */
inline_always u8 *member(u32 tid)
{
	return (u8 *)(MAP_VALUE(MEMBERS_FD) + (tid & MEMBER_MASK));
}

/* Without a scope the tree is the agent itself, and is what is left out. */
inline_always bool in_scope(u32 tid)
{
#if SCOPED
	return *member(tid) != 0;
#else
	return *member(tid) == 0;
#endif
}

/*
 * io_uring's workers are threads of a process that no sched_process_fork tells of
 * (create_io_thread()). Whether one that is out of scope so far belongs to a process in scope.
 */
inline_always bool is_worker_in_scope(u64 task)
{
#if SCOPED
	u32 flags = LOAD32(task, TASK_FLAGS);

	return (flags & (PF_IO_WORKER | PF_EXITING)) == PF_IO_WORKER &&
	       *member(LOAD32(task, TASK_TGID)) != 0;
#else
	return false;
#endif
}
