/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Latency on disks that have no requests: their driver carries out the bios themselves (zram,
 * pmem). From the submission of the bio to its end.
 */
#include "sections/biolatency/requests.h"

/* without its section where each section is tried alone */
#if WITH_BIOS && WITH_BIOLATENCY

/* bi_bdev took the place of bi_disk in 5.12. */
inline_always u64 disk_of_bio(u64 bio)
{
#ifdef BIO_BDEV
	return FOLLOW(FOLLOW(bio, BIO_BDEV), BDEV_DISK);
#else
	return FOLLOW(bio, BIO_DISK);
#endif
}

/*
 * Whether the disk's driver carries out bios itself. One with disks below it (dm, md) hands them
 * on, and may never see their end; the requests of the disks below are measured instead.
 */
inline_always bool carries_out_bios(u64 disk)
{
	if (FOLLOW(FOLLOW(disk, DISK_QUEUE), QUEUE_MQ_OPS))
		return false;
#if defined(DISK_SLAVES) && defined(KOBJECT_NODE) && defined(KERNFS_NODE_CHILDREN)
	/* the folder /sys/block/DISK/slaves has a link to each disk below */
	return !FOLLOW(FOLLOW(FOLLOW(disk, DISK_SLAVES), KOBJECT_NODE), KERNFS_NODE_CHILDREN);
#else
	return true;
#endif
}

int on_block_bio_queue(u64 *ctx)
{
	u64 bio = ctx[BIO_QUEUE_BIO];
	u64 disk = disk_of_bio(bio);

	if (!carries_out_bios(disk))
		return 0;

	/* not where it is stored: after remember()'s calls 5.10's verifier takes `disk` for a number */
	u32 device = device_number(disk);
	u32 kind = operation(LOAD(bio, BIO_OPF)) | BLOCK_BIO;
	struct issued_request *entry =
		remember(batch_of(STREAM_BIOS), bio, bpf_ktime_get_ns(), kind);

	if (entry) {
		entry->device = device;
		entry->bytes = LOAD(bio, BIO_SIZE);
	}
	return 0;
}

/* Does not fire for a bio that ends as part of a request. */
int on_block_bio_complete(u64 *ctx)
{
	u64 now = bpf_ktime_get_ns();
	u64 bio = ctx[BIO_COMPLETE_BIO];
	struct issued_request *known = find_request(bio);

	if (!known || !(known->kind & BLOCK_BIO) || rarely(!counted_from()))
		return 0;

	struct batch *batch = batch_of(STREAM_BIOS);
	u64 kind = known->kind | (u64)LOAD(bio, BIO_STATUS) << BLOCK_ERROR_SHIFT;
	u64 ns = latency(batch, now, known->since);
	u64 *event = room_or_fold(ctx, batch, 4);

	known->key = 0;
	if (known->bytes == 0 && (kind & BLOCK_OPERATION) == BLOCK_WRITE)
		kind |= BLOCK_EMPTY;
	if (rarely(!event)) {
		if (is_timed(kind))
			fold(BIOS, ns);
		else
			fold_nothing(BIOS);
		event_folded(batch);
		return 0;
	}
	event[0] = ns | kind << LATENCY_BITS;
	event[1] = ns; /* nothing queues them */
	event[2] = known->device;
	event[3] = known->bytes;
	event_done(batch, 4);
	return 0;
}

#endif
