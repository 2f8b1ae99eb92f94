/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Faults of the C programs, each enabled by -D in the compiler of a copied package (faults.py).
 * This file is included before all others. A fault is either a macro, defined after a function and
 * replacing it in all code that follows, or a program that is attached instead of another one.
 */
#ifdef TEST_FAULT_DOES_NOT_COMPILE
#error broken on purpose
#endif

#ifdef TEST_FAULT_BIOLATENCY_DOES_NOT_COMPILE
#if WITH_BIOLATENCY
#error broken on purpose
#endif
#endif

#include "batch.h"

#define ONE_IN_TWENTY (bpf_get_prandom_u32() % 20 == 0)

/* Additions of several instructions take so long that whatever adds meanwhile is lost. */
#ifdef TEST_FAULT_SLOW_ADDITIONS
inline_always void add_slowly(u64 *field, u64 amount, bool interruptible)
{
	if (interruptible) {
		add_to(field, amount, true);
		return;
	}

	u64 before = *(volatile u64 *)field;

	for (int i = 0; i < 200; i++)
		bpf_ktime_get_ns();
	*(volatile u64 *)field = before + amount;
}
inline_always void add_interval_slowly(struct interval_sum *sum, u64 ns, bool interruptible)
{
	add_slowly(&sum->ns, ns, interruptible);
	add_slowly(&sum->count, 1, interruptible);
}
#define add_to add_slowly
#define add_interval add_interval_slowly
#endif

#ifdef TEST_FAULT_CLOCK_STEPS_BACK
#define latency(batch, now, since) latency(batch, since, (now) + 1)
#endif

#ifdef TEST_FAULT_WAITS_TOO_LONG
#define latency(batch, now, since) (latency(batch, now, since) * 11 / 10)
#endif

#ifdef TEST_FAULT_WAITS_MISSED
#define latency(batch, now, since) (ONE_IN_TWENTY ? 0 : latency(batch, now, since))
#endif

#include "timing.h"

#ifdef TEST_FAULT_FOLDED_AS_WELL
#if WITH_RUNQLAT
/* Every wait is streamed and folded, with a length from the histogram's whole range and beyond. */
inline_always u64 any_length(void)
{
	u64 ns = ((u64)bpf_get_prandom_u32() << 6 | 63) >> (bpf_get_prandom_u32() % 38);

	return ns > LATENCY_MAX ? LATENCY_MAX : ns;
}

inline_always void stream_and_fold(void *ctx, struct batch *batch, u32 tid)
{
	u64 ns = any_length();
	u64 *event = event_room(ctx, batch, 1);

	if (!event)
		return;
	*event = ns | (u64)tid << LATENCY_BITS;
	event_done(batch, 1);
	fold(RUNQLAT, ns);
	event_folded(batch);
}
#define stream_wait(ctx, batch, tid, ns, preempted) stream_and_fold(ctx, batch, tid)
#endif
#endif

/* As if the scheduler accounted more for each wait than its clock says at the switch before. */
#ifdef TEST_FAULT_CLOCK_RENEWED
#undef LOAD64
#define LOAD64(base, offset) (*(volatile u64 *)((base) + (offset)) + more_run_delay(base, offset))
#define more_run_delay(base, offset) \
	((offset) == TASK_RUN_DELAY ? 5000 * *(volatile u64 *)((base) + TASK_PCOUNT) : 0)
#endif

#ifdef TEST_FAULT_TURNS_TOO_LONG
#define add_turn(slot, ns) add_turn(slot, (ns) * 11 / 10)
#endif

#ifdef TEST_FAULT_TURNS_MISSED
#define add_turn(slot, ns) add_turn(slot, ONE_IN_TWENTY ? 0 : (ns))
#endif

#include "turns.h"

/* As if other tracers' programs ran before ours at each switch. */
#ifdef TEST_FAULT_OTHER_TRACERS
inline_always u64 time_after_others(void)
{
	u64 began = bpf_ktime_get_ns();

	for (int i = 0; i < 300; i++)
		if (bpf_ktime_get_ns() - began > 10000)
			break;
	return bpf_ktime_get_ns();
}
#define switched_out(ctx, prev, runnable, state, now) \
	switched_out(ctx, prev, runnable, state, now = time_after_others())
#endif

#ifdef TEST_FAULT_WAKEUPS_TOO_EARLY
#define enter_state(slot, tag, now) enter_state(slot, tag, (now) - ((tag) & SLOT_PRIMED ? 0 : 500000))
#endif

/* As if the kernel ran no program for some events. */
#ifdef TEST_FAULT_ARRIVALS_UNSEEN
inline_always void sometimes_switched_in(void *ctx, u64 next, u64 now)
{
	if (!ONE_IN_TWENTY)
		switched_in(ctx, next, now);
}
#define switched_in sometimes_switched_in
#endif

/* The same of the wall time alone, where what leaves the CPU is in no scope, as process 1. */
#ifdef TEST_FAULT_WALL_ARRIVALS_UNSEEN
inline_always void sometimes_wall_switch(u64 prev, u64 next, bool runnable, u32 state, u64 now)
{
	if (wall_concerns(prev) || !ONE_IN_TWENTY)
		wall_switch(prev, next, runnable, state, now);
}
#define wall_switch sometimes_wall_switch
#endif

#ifdef TEST_FAULT_WAKEUPS_UNSEEN
inline_always int on_sched_wakeup(u64 *ctx); /* no longer a program in its own right */

int on_some_sched_wakeups(u64 *ctx)
{
	return ONE_IN_TWENTY ? 0 : on_sched_wakeup(ctx);
}
#endif

#ifdef TEST_FAULT_OUT_OF_BOUNDS
int out_of_bounds(u64 *ctx)
{
	*(volatile u64 *)(MAP_VALUE(SLOTS_FD) + bpf_get_current_pid_tgid()) = 1;
	return 0;
}
#endif

#ifdef TEST_FAULT_PAGE_FAULT
int page_fault(u64 *ctx)
{
	u64 word;

	bpf_probe_read_user(&word, sizeof(word), (void *)8);
	return 0;
}
#endif
