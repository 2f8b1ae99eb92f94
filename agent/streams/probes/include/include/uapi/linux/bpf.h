/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The real one is in bcc itself (bcc/bpf.h), included before any source. */
#pragma once
