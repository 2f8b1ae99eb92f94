/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* bcc includes this first, before any source; its own headers test CONFIG_BPF_SYSCALL. */
#pragma once
#define CONFIG_BPF_SYSCALL 1
