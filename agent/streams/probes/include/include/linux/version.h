/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Only kprobes are checked against a version; ours are raw tracepoints, so any will do. */
#pragma once
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 8, 0)
#define PAGE_SIZE 4096
