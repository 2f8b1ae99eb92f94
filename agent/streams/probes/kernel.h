/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * How our programs read the kernel. They attach to BTF-typed raw tracepoints (since 5.5), so the
 * verifier knows what an argument points to and lets it be read with a plain load, where an
 * untyped raw tracepoint needs a bpf_probe_read_kernel() call for each field. Offsets are -D
 * constants taken from the running kernel's BTF; no kernel header is needed.
 */
#pragma once
#include "layout.h"

#define inline_always static inline __attribute__((always_inline))

/*
 * Says which cases are rare: by an instruction that does nothing, at their beginning. What it begins
 * is moved to the end of the program (compiler/rare.py).
 */
#define rarely(condition)                                            \
	({                                                           \
		bool is_rare = __builtin_expect(!!(condition), 0);   \
                                                                     \
		if (is_rare)                                         \
			__asm__ volatile("goto +0");                 \
		is_rare;                                             \
	})

/* volatile: keeps each access the single typed load that the verifier checks against BTF */
#define LOAD8(base, offset) (*(volatile u8 *)((base) + (offset)))
#define LOAD16(base, offset) (*(volatile u16 *)((base) + (offset)))
#define LOAD32(base, offset) (*(volatile u32 *)((base) + (offset)))
#define LOAD64(base, offset) (*(volatile u64 *)((base) + (offset)))

/*
 * A number, at the width that it has in this kernel: the verifier refuses a load that reaches beyond
 * the field. FIELD and FIELD_SIZE are constants (planning.py).
 */
#define LOAD(base, field) LOAD_SIZED(base, field, field##_SIZE)
#define LOAD_SIZED(base, offset, size)                                                             \
	__builtin_choose_expr(                                                                     \
		size == 8, LOAD64(base, offset),                                                   \
		__builtin_choose_expr(size == 4, LOAD32(base, offset),                             \
				      __builtin_choose_expr(size == 2, LOAD16(base, offset),       \
							    LOAD8(base, offset))))

/* Its low 32 bits, of one that has no fewer, on little-endian machines. */
#define LOAD_LOW32(base, field) LOAD_SIZED(base, field, 4)

/* A number that may be negative. */
#define LOAD_SIGNED(base, field)                                                                   \
	((s64)((u64)LOAD_SIZED(base, field, field##_SIZE) << (64 - 8 * field##_SIZE)) >>           \
	 (64 - 8 * field##_SIZE))

/* A pointer, which points to what the verifier knows the type of. */
#define FOLLOW(base, field) LOAD64(base, field)

/*
 * Bits of task_struct.__state, .flags and .jobctl (include/linux/sched.h, sched/jobctl.h). Those
 * without a version are unchanged since 4.14; the others meant nothing before.
 */
#define TASK_INTERRUPTIBLE 0x0001
#define TASK_STOPPED 0x0004
#define TASK_TRACED 0x0008
#define TASK_DEAD 0x0080
#define TASK_GONE (0x0010 | 0x0020 | TASK_DEAD) /* EXIT_DEAD, EXIT_ZOMBIE */
#define TASK_NEW 0x0800 /* not woken for the first time yet; since 4.8 */
#define TASK_FROZEN 0x8000 /* since 6.1 */
#define PF_KTHREAD 0x00200000
#define PF_EXITING 0x00000004
#define PF_IO_WORKER 0x00000010
#define PF_SIGNALED 0x00000400 /* killed by a signal */
#define JOBCTL_TRAP_FREEZE 0x00800000 /* since 5.2 */

/*
 * Before 7.0 tracepoint programs run with preemption off. Since then one in process context may be
 * preempted, though not moved to another CPU (f7d327654b88, "bpf: Have __bpf_trace_run() use
 * rcu_read_lock_dont_migrate()"), so one that must not be says so (kfuncs, since 6.10).
 */
#if PREEMPTION_CONTROL
#define preemption_off() (((void (*)(void))MARK_PREEMPT_DISABLE)())
#define preemption_on() (((void (*)(void))MARK_PREEMPT_ENABLE)())
#else
#define preemption_off()
#define preemption_on()
#endif

/*
 * Maps are arrays with one large element, created by the supervisor and addressed directly
 * (BPF_PSEUDO_MAP_VALUE, since 5.2): an access is an AND and an ADD, without a lookup.
 */
#define MAP_VALUE(fd) ((u64)bpf_pseudo_fd(2, fd))
#define MAP(fd) ((void *)bpf_pseudo_fd(1, fd))

/* For addresses that the verifier does not know the type of. */
inline_always u64 read_pointer(u64 address)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
	return value;
}

inline_always u64 read_number(u64 address, u32 size)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, size, (void *)address);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	value >>= 64 - 8 * size;
#endif
	return value;
}

/* A number, at the width that it has in this kernel. */
#define READ(base, field) read_number((base) + field, field##_SIZE)

/*
 * The task that runs here. Before 5.11 the verifier does not know the type of its address, so its
 * fields have to be read as those of any other address.
 */
#ifdef HAVE_CURRENT_TASK_BTF
#define current_task() ((u64)bpf_get_current_task_btf())
#define OF_CURRENT LOAD
#define OF_CURRENT64 LOAD64
#else
#define current_task() ((u64)bpf_get_current_task())
#define OF_CURRENT READ
#define OF_CURRENT64(current, offset) read_pointer((current) + (offset))
#endif

#if defined(TASK_ABI_STATUS) && COMPAT_MARK
#define HAS_COMPAT 1
#else
#define HAS_COMPAT 0
#endif

/*
 * Whether the task's syscall is from the 32-bit table: made by a 32-bit program or, on x86, by a
 * 64-bit program through int $0x80. Valid from the entry to the kernel until the return.
 */
inline_always bool in_compat_syscall(u64 task)
{
#if HAS_COMPAT
	return (LOAD(task, TASK_ABI_STATUS) & COMPAT_MARK) != 0;
#else
	return false;
#endif
}

inline_always bool current_in_compat_syscall(void)
{
#if HAS_COMPAT
	return (OF_CURRENT(current_task(), TASK_ABI_STATUS) & COMPAT_MARK) != 0;
#else
	return false;
#endif
}

#if DIRECT_REGISTERS || DIRECT_RUN_QUEUE
/*
 * Let the verifier treat an address as a pointer to a type of the kernel, which may then be read
 * with plain loads. bpf_rdonly_cast(), since 6.2: compiled to a move, not to a call.
 */
inline_always u64 as_type(u64 address, u64 type)
{
	return ((u64(*)(u64, u64))MARK_CAST)(address, type);
}
#endif

/*
 * The registers that a task saved as it entered the kernel, at the top of its stack. The helper
 * that finds them is a call, which adds 14 ns to a switch where each return is guarded against
 * speculation. Before 5.15 there is none, and they have to be read as at an address of no type.
 */
#if DIRECT_REGISTERS || SEARCH_REGISTERS
/* From the bottom of a task's stack; an iterator finds it (tasks.c), linking.py puts it here. */
inline_always u64 registers_distance(void)
{
	u64 distance;

	__asm__("%0 = %1" : "=r"(distance) : "i"(MARK_REGISTERS));
	return distance;
}
#endif

#ifdef HAVE_TASK_PT_REGS
#define HAVE_SAVED_REGISTERS 1
#define LOAD_REGISTER LOAD
#define SAVED_SYSCALL LOAD_LOW32

inline_always u64 saved_registers(u64 task)
{
#if DIRECT_REGISTERS
	return as_type(FOLLOW(task, TASK_STACK) + registers_distance(), PT_REGS_TYPE);
#else
	return (u64)bpf_task_pt_regs((void *)task);
#endif
}
#elif SEARCH_REGISTERS
#define HAVE_SAVED_REGISTERS 1
#define LOAD_REGISTER READ
#define SAVED_SYSCALL READ

inline_always u64 saved_registers(u64 task)
{
	return FOLLOW(task, TASK_STACK) + registers_distance();
}
#endif

/*
 * An index, masked by a power of two less one. The compiler drops a mask that a comparison before it
 * makes needless, and older verifiers do not see the bound in what it leaves.
 */
inline_always u64 masked(u64 index, u64 mask)
{
	__asm__ volatile("" : "+r"(index));
	return index & mask;
}

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

/*
 * Add to a field of a per-CPU row that other programs add to as well. Plain additions are enough at
 * switches and wakeups, where interrupts are off. A program that is interruptible must use a single
 * instruction: an iterator may be preempted, and one that runs in process context may be interrupted
 * by a wakeup, between loading the field and storing it.
 */
inline_always void add_to(u64 *field, u64 amount, bool interruptible)
{
	if (interruptible)
		__sync_fetch_and_add(field, amount);
	else
		*field += amount;
}

/*
 * Add to a field that all CPUs share and return it as it was, in one instruction. bcc compiles for
 * the first BPF processor ("v1"). LLVM 20 and later refuse the built-in function's result there, but
 * do assemble the instruction, which LLVM 14 cannot read.
 */
inline_always u64 fetch_and_add(u64 *field, u64 amount)
{
#if __clang_major__ >= 20
	__asm__ volatile("%0 = atomic_fetch_add((u64 *)(%1 + 0), %0)"
			 : "+r"(amount)
			 : "r"(field)
			 : "memory");
	return amount;
#else
	return __sync_fetch_and_add(field, amount);
#endif
}

inline_always void add_interval(struct interval_sum *sum, u64 ns, bool interruptible)
{
	add_to(&sum->ns, ns, interruptible);
	add_to(&sum->count, 1, interruptible);
}

inline_always struct batch *batch_on(u32 cpu, u32 stream)
{
	u32 row = (cpu & CPU_MASK) * STREAMS + stream;

	return (struct batch *)(MAP_VALUE(BATCHES_FD) + row * sizeof(struct batch));
}

inline_always struct batch *batch_of(u32 stream)
{
	return batch_on(bpf_get_smp_processor_id(), stream);
}

inline_always const struct run_config *run_config(void)
{
	return (const struct run_config *)MAP_VALUE(CONFIG_FD);
}

/* Runs that keep an account of each task, in its slot. */
#define WITH_TASK_TIMES (WITH_RUNQLAT || WITH_OFFCPU)

/* Runs that say where the wall time went, and what each thread did. */
#define MEASURES_WALL (WITH_WALL && WITH_OFFCPU && SCOPED)

/*
 * A task that exits still closes its files and frees its memory, which may take long. Where each
 * switch is seen, it leaves the scope at its last one, and otherwise as its exit begins.
 */
#define WITH_LAST_SWITCH (SCOPED && WITH_TASK_TIMES && !TIMING_ACCOUNTING)

/*
 * In a run of the whole machine, sched_switch caches for each CPU whether the task that now runs
 * there is in scope, so that sys_enter need not ask for the current task, which is a helper call.
 */
#define CACHES_CURRENT_SCOPE \
	(!SCOPED && !TIMING_ACCOUNTING && WITH_TASK_TIMES && WITH_SYSCALLS && !WITH_SYSCALL_TIMES)
#define CURRENT_SCOPE_UNKNOWN 0
#define CURRENT_IN_SCOPE 1
#define CURRENT_OUT_OF_SCOPE 2

/* `current_scope` describes `task`, which this CPU switches to. */
inline_always void cache_current_scope(u64 task, u64 current_scope)
{
#if CACHES_CURRENT_SCOPE
	/* Some kernels run no program at the switch away from process 1; it would leave a stale entry. */
	counters()->current_scope =
		rarely(LOAD(task, TASK_TGID) == 1) ? CURRENT_SCOPE_UNKNOWN : current_scope;
#endif
}

/* For the iterator, which changed the membership of a task that may be running. */
inline_always void forget_current_scope(u64 task)
{
#if CACHES_CURRENT_SCOPE
	counters_of(LOAD(task, TASK_CPU))->current_scope = CURRENT_SCOPE_UNKNOWN;
#endif
}

/*
 * One byte for each thread id: 1 for the threads of the run's tree or cgroup. In a run of the
 * whole machine, 1 for the agent's own threads, the only ones that are out of scope.
 */
inline_always u8 *member(u32 tid)
{
	return (u8 *)(MAP_VALUE(MEMBERS_FD) + (tid & MEMBER_MASK));
}

inline_always bool in_scope(u32 tid)
{
	return SCOPED ? *member(tid) != 0 : *member(tid) == 0;
}
