/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Included by bcc/helpers.h; nothing in it is used. */
#pragma once
