/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Minimal run-queue latency probe that passes events to userspace in five ways; everything else is
 * the same. The slot index comes from the task's address (tasks are 64-byte aligned), so that no
 * offset into a kernel struct is needed. Waits after preemption are not timed.
 *
 * SUBMIT: 0 batches of 256 events in one ring record, 1 one ring record per event without a wakeup,
 * 2 the same with a wakeup per event, 3 ring records and 4 perf records for BCC's own callbacks.
 */
#define SLOTS 65536
#define BATCH 256

BPF_ARRAY(slots, u64, SLOTS);

#if SUBMIT == 4
BPF_PERF_OUTPUT(events);
#else
BPF_RINGBUF_OUTPUT(events, 512);
#endif

#if SUBMIT == 0
struct batch {
	u64 count;
	u64 events[BATCH];
};

BPF_PERCPU_ARRAY(batches, struct batch, 1);
#endif

static inline u64 *slot_of(u64 task)
{
	u32 index = (task >> 6) & (SLOTS - 1);

	return slots.lookup(&index);
}

static inline void emit(void *ctx, u64 latency)
{
#if SUBMIT == 0
	u32 zero = 0;
	struct batch *batch = batches.lookup(&zero);

	if (!batch)
		return;
	batch->events[batch->count & (BATCH - 1)] = latency;
	if (++batch->count & (BATCH - 1))
		return;
	events.ringbuf_output(batch, sizeof(*batch), BPF_RB_NO_WAKEUP);
#elif SUBMIT == 1
	events.ringbuf_output(&latency, sizeof(latency), BPF_RB_NO_WAKEUP);
#elif SUBMIT == 2
	events.ringbuf_output(&latency, sizeof(latency), BPF_RB_FORCE_WAKEUP);
#elif SUBMIT == 3
	events.ringbuf_output(&latency, sizeof(latency), 0);
#else
	events.perf_submit(ctx, &latency, sizeof(latency));
#endif
}

RAW_TRACEPOINT_PROBE(sched_switch)
{
	u64 *since = slot_of(ctx->args[2]);
	u64 began;

	if (!since || !*since)
		return 0;
	began = *since;
	*since = 0;
	emit(ctx, bpf_ktime_get_ns() - began);
	return 0;
}

static inline int woken(u64 task)
{
	u64 *since = slot_of(task);

	if (since)
		*since = bpf_ktime_get_ns();
	return 0;
}

RAW_TRACEPOINT_PROBE(sched_wakeup)
{
	return woken(ctx->args[0]);
}

RAW_TRACEPOINT_PROBE(sched_wakeup_new)
{
	return woken(ctx->args[0]);
}
