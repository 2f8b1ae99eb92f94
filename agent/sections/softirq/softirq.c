/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Time in softirqs: from softirq_entry to softirq_exit of one vector (handle_softirqs() in
 * kernel/softirq.c). A CPU runs one softirq at a time, and they do not nest: softirqs raised by a
 * hardware interrupt during one are run later, and the interrupt's own time is included in ours.
 * So each CPU needs one entry of state, and only the exit's program writes to the stream.
 */
#include "batch.h"

#if WITH_SOFTIRQ

/* The softirq that a CPU is running. */
struct softirq_state {
	u64 since; /* 0: none */
	u32 vector;
	u32 seen; /* an entry or exit was seen, so later exits have a beginning */
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
	u64 task = (u64)bpf_get_current_task_btf();
	u32 tid = LOAD32(task, TASK_PID);

	return tid != 0 && (in_scope(tid) || is_worker_in_scope(task));
}

int on_softirq_entry(u64 *ctx)
{
	struct softirq_state *state = softirq_state();
	struct batch *batch = batch_of(STREAM_SOFTIRQ);

	batch->seen++;
	if (rarely(state->since != 0))
		batch->unmatched++; /* the last one's exit was not seen */
	state->vector = (u32)ctx[SOFTIRQ_ENTRY_VECTOR];
	state->seen = 1;
	state->since = bpf_ktime_get_ns();
	return 0;
}

int on_softirq_exit(u64 *ctx)
{
	struct softirq_state *state = softirq_state();
	struct batch *batch = batch_of(STREAM_SOFTIRQ);
	u32 vector = (u32)ctx[SOFTIRQ_EXIT_VECTOR];
	u64 since = state->since;

	state->since = 0;
	if (rarely(!state->seen)) {
		state->seen = 1;
		batch->in_flight++;
		return 0;
	}
	if (rarely(since == 0 || state->vector != vector)) {
		batch->unmatched++;
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
