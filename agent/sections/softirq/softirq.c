/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Time in softirqs: from softirq_entry to softirq_exit of one vector (handle_softirqs() in
 * kernel/softirq.c). A CPU runs one softirq at a time, and they do not nest: softirqs raised by a
 * hardware interrupt during one are run later, and the interrupt's own time is included in ours.
 * So each CPU needs one entry of state, and only the exit's program writes to the stream.
 */
#include "batch.h"

#if WITH_SOFTIRQ

/*
 * The softirq that a CPU is running. The two programs are not attached at one moment: the entry's is
 * attached first and detached last. Entries seen outside of the exit's time have no exit that we
 * could see, and say nothing of what was missed; so an exit that was missed counts only when a later
 * one is seen.
 */
struct softirq_state {
	u64 since; /* 0: none */
	u32 vector;
	u32 exit_seen; /* whether the exit's program has run here */
	u32 missed; /* exits that were not seen, since the last one that was */
	u32 padding;
};

_Static_assert(sizeof(struct softirq_state) == SOFTIRQ_STATE_SIZE, "softirq_state");

inline_always struct softirq_state *softirq_state(void)
{
	return (struct softirq_state *)(MAP_VALUE(SOFTIRQS_FD) +
					(bpf_get_smp_processor_id() & CPU_MASK) *
						sizeof(struct softirq_state));
}

/* Whether it runs on top of a task in scope, which the idle task (tid 0) never is. */
inline_always u64 runs_in_scope(void)
{
	u32 tid = OF_CURRENT(current_task(), TASK_PID);

	return tid != 0 && in_scope(tid);
}

int on_softirq_entry(u64 *ctx)
{
	struct softirq_state *state = softirq_state();

	batch_of(STREAM_SOFTIRQ)->seen++;
	if (rarely(state->since != 0))
		state->missed++;
	state->vector = (u32)ctx[SOFTIRQ_ENTRY_VECTOR];
	state->since = bpf_ktime_get_ns();
	return 0;
}

int on_softirq_exit(u64 *ctx)
{
	struct softirq_state *state = softirq_state();
	struct batch *batch = batch_of(STREAM_SOFTIRQ);
	u32 vector = (u32)ctx[SOFTIRQ_EXIT_VECTOR];
	u64 since = state->since;
	u32 known = state->exit_seen;

	if (known)
		batch->unmatched += state->missed;
	state->exit_seen = 1;
	state->missed = 0;
	state->since = 0;
	if (rarely(since == 0 || state->vector != vector)) {
		if (known)
			batch->unmatched++;
		else
			batch->in_flight++;
		return 0;
	}

	u64 *event = event_room(ctx, batch, 1);

	if (!event)
		return 0;
	*event = latency(batch, bpf_ktime_get_ns(), since) |
		 (u64)(vector & (SOFTIRQ_VECTORS - 1)) << LATENCY_BITS |
		 runs_in_scope() << (LATENCY_BITS + SOFTIRQ_VECTOR_BITS);
	event_done(batch, 1);
	return 0;
}

#endif
