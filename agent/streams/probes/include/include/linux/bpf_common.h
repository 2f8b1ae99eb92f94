/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* bcc brings its own copy of bpf.h; the classic instruction macros of this one are not used. */
#pragma once
#include <linux/types.h>
