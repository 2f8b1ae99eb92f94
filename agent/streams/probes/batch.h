/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Events are collected in a batch per CPU and stream; one record carries a whole batch.
 * On one CPU, no program comes upon another in the middle of writing the same batch, so plain
 * stores are enough: the kernel never runs a program twice at a time on one CPU, not even while it
 * is preempted (it counts recursion_misses instead), and the events of a stream are written by one
 * program only. Streams with more than one are those of what begins and ends tasks (process.c), and
 * `runqlat` with timing by accounting, written at a switch and as a task exits: those programs run
 * with preemption off.
 */
#pragma once
#include "kernel.h"

/*
 * Whose events may fill the transport. Those that can be folded in the kernel instead (folded.h)
 * leave a quarter of it to all others, and so do reports of threads (threads.h), which only add to
 * what the summaries of exits say. Perf buffers do not say how full they are, so there the others have
 * buffers of their own.
 */
#define FOLDABLE true
#define RARE false

/* Handing the full batch over is tried again at one in this many folded events. */
#define FOLDED_PER_ATTEMPT 64

/*
 * Submit a full batch. There is no wakeup per record, since wakeups cost more than the data: the
 * reader has a timer, and is woken only if the buffer fills faster than that.
 */
inline_always bool submit(void *ctx, struct batch *batch, bool foldable)
{
#if TRANSPORT_PERF
	void *events = foldable ? MAP(EVENTS_FD) : MAP(RARE_EVENTS_FD);

	return bpf_perf_event_output(ctx, events, BPF_F_CURRENT_CPU, &batch->id,
				     sizeof(batch->id) + sizeof(batch->seq) + sizeof(batch->events)) == 0;
#else
	u64 waiting = bpf_ringbuf_query(MAP(EVENTS_FD), BPF_RB_AVAIL_DATA);

	if (foldable && waiting + RECORD_SIZE > RING_SIZE / 4 * 3)
		return false;
	return bpf_ringbuf_output(MAP(EVENTS_FD), &batch->words, RECORD_SIZE,
				  waiting > RING_SIZE / 2 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP) == 0;
#endif
}

/* Hand over a full batch and begin the next one; return whether there was room. */
inline_always bool hand_over(void *ctx, struct batch *batch, bool foldable)
{
	if (!submit(ctx, batch, foldable))
		return false;
	/* Emptied before it is renumbered: a reader of the new number never sees the old count. */
	batch->words = 0;
	__asm__ volatile("" ::: "memory");
	batch->seq++;
	return true;
}

/*
 * Return room for one event of `words` words, or count the event as lost and return NULL. A
 * batch that could not be handed over stays and is tried again with the next event, so its
 * events are late but not lost.
 */
inline_always u64 *room_or_lost(void *ctx, struct batch *batch, u32 words, bool foldable)
{
	u32 used = batch->words;

	if (rarely(used >= BATCH_WORDS)) {
		if (!hand_over(ctx, batch, foldable)) {
			batch->lost++;
			return NULL;
		}
		used = 0;
	}
	return &batch->events[used & (BATCH_WORDS - words)];
}

inline_always u64 *event_room(void *ctx, struct batch *batch, u32 words)
{
	return room_or_lost(ctx, batch, words, RARE);
}

/* The same for an event of a stream that can be folded; after NULL the caller has to do that. */
inline_always u64 *room_or_fold(void *ctx, struct batch *batch, u32 words)
{
	u32 used = batch->words;

	if (rarely(used >= BATCH_WORDS)) {
		if (batch->folded % FOLDED_PER_ATTEMPT != 0 || !hand_over(ctx, batch, FOLDABLE))
			return NULL;
		used = 0;
	}
	return &batch->events[used & (BATCH_WORDS - words)];
}

/* Count the event after it has been written: a reader may look at any time. */
inline_always void event_done(struct batch *batch, u32 words)
{
	__asm__ volatile("" ::: "memory");
	batch->words += words;
}

/* now - since in ns, at most LATENCY_MAX; 0, and counted, if two CPUs' clocks make it negative. */
inline_always u64 latency(struct batch *batch, u64 now, u64 since)
{
	s64 ns = now - since;

	if (rarely(ns < 0)) {
		batch->clamped++;
		return 0;
	}
	return rarely(ns > LATENCY_MAX) ? LATENCY_MAX : ns;
}
