/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Telling errors and interruptions apart from other results of syscalls. */
#pragma once
#include "kernel.h"

#define MAX_ERRNO 4095 /* include/linux/err.h */

#define EINTR 4

/*
 * include/linux/errno.h: codes that never reach user space. The call is restarted, or fails with
 * EINTR if a handler without SA_RESTART ran; which of the two is decided after sys_exit.
 */
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ERESTART_RESTARTBLOCK 516

inline_always bool is_error(s64 result)
{
	return result < 0 && result >= -MAX_ERRNO;
}

inline_always bool may_restart(s64 result)
{
	return result == -ERESTARTSYS || result == -ERESTARTNOINTR || result == -ERESTARTNOHAND ||
	       result == -ERESTART_RESTARTBLOCK;
}

/* Calls that are never restarted return EINTR themselves, epoll_wait() for example. */
inline_always bool was_interrupted(s64 result)
{
	return may_restart(result) || result == -EINTR;
}
