/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Latencies folded in the kernel: what becomes of an event while the transport has no room for it,
 * because the agent does not get a CPU, is stopped, or is too slow. The bins are HdrHistogram's own
 * (agent/aggregate/fold.py), so that the agent can add them to what it folds itself; what the bins
 * do not say exactly is kept next to them.
 *
 * A reader of a run in progress reads the bins before the sums, and batch.folded before both. They
 * are written in the opposite order, so the extremes cover every latency that it finds.
 */
#pragma once
#include "batch.h"

/* Keeps the compiler from moving stores across. */
#define ordered() __asm__ volatile("" ::: "memory")

/*
 * The bin of a latency below 2^37: 1024 * bucket + (ns >> bucket), where bucket is the number of
 * bits by which ns is longer than 11, or 0. Found bit by bit of the bucket: a loop would cost more.
 */
inline_always u64 bin_of(u64 ns)
{
	u64 bucket = 0;

	if (ns >= 1ULL << (10 + 16)) {
		bucket += 16;
		ns >>= 16;
	}
	if (ns >= 1ULL << (10 + 8)) {
		bucket += 8;
		ns >>= 8;
	}
	if (ns >= 1ULL << (10 + 4)) {
		bucket += 4;
		ns >>= 4;
	}
	if (ns >= 1ULL << (10 + 2)) {
		bucket += 2;
		ns >>= 2;
	}
	if (ns >= 1ULL << (10 + 1)) {
		bucket += 1;
		ns >>= 1;
	}
	return (bucket << 10) + ns;
}

inline_always struct folded_sums *folded_sums(u32 distribution)
{
	u32 row = (bpf_get_smp_processor_id() & CPU_MASK) * FOLDS + distribution;

	return (struct folded_sums *)(MAP_VALUE(FOLDED_SUMS_FD) + row * sizeof(struct folded_sums));
}

/* The CPU's table is one of `mask` + 1, from number `first` on. */
inline_always void fold_into(u32 distribution, u32 first, u32 mask, u64 ns)
{
	struct folded_sums *sums = folded_sums(distribution);
	u64 table = first + (bpf_get_smp_processor_id() & mask);
	/*
	 * Masked, so that the verifier sees of each way through bin_of() that it does not lead beyond the
	 * table. 5.10's takes ways that do past the comparison below, with a lowest value above the
	 * highest, and refuses to add that to an address.
	 */
	u64 bin = bin_of(masked(ns, (1ULL << LATENCY_BITS) - 1));

	/* The second condition, which the first one implies, is for the verifier. */
	if (rarely(ns > FOLD_HIGHEST || bin >= FOLD_BINS)) {
		sums->overflow++;
		return;
	}
	if (sums->count == 0 || ns < sums->lowest)
		sums->lowest = ns;
	if (ns > sums->highest)
		sums->highest = ns;
	sums->ns += ns;
	sums->count++;
	ordered();

	u32 *count = (u32 *)(MAP_VALUE(FOLDED_BINS_FD) + table * FOLD_TABLE_SIZE + bin * sizeof(u32));

	if (mask < CPU_MASK)
		__sync_fetch_and_add(count, 1); /* other CPUs use the table as well */
	else
		++*count;
}

/* Fold a latency of an event for which there is no room, into the distribution FOLD_<name>. */
#define fold(name, ns) fold_into(FOLD_##name, FOLD_##name##_TABLE, FOLD_##name##_MASK, ns)

/* The same for an event that has no latency in the distribution. */
#define fold_nothing(name) (folded_sums(FOLD_##name)->absent++)

/* Count the event, after all of it has been folded. */
inline_always void event_folded(struct batch *batch)
{
	ordered();
	batch->folded++;
}
