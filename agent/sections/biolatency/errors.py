"""Names of the errors that block requests end with."""

import errno

from agent.sections.biolatency.layout import BLOCK_ERRNO, BLOCK_ERROR_SHIFT

STATUSES = {
    1: "EOPNOTSUPP",
    2: "ETIMEDOUT",
    3: "ENOSPC",
    4: "ENOLINK",
    5: "EREMOTEIO",
    6: "EBADE",
    7: "ENODATA",
    8: "EILSEQ",
    9: "ENOMEM",
    10: "EIO",
    11: "EREMCHG",
    12: "EAGAIN",
    13: "EBUSY",
}
"""What blk_status_to_errno() makes of a blk_status_t (block/blk-core.c). Those above 13 have had
different numbers in different versions."""


def error_name(kind: int) -> str | None:
    """Return the errno that an event's kind stands for, or None if the request succeeded."""
    code = kind >> BLOCK_ERROR_SHIFT
    if code == 0:
        return None
    if kind & BLOCK_ERRNO:
        return errno.errorcode.get(code, f"errno_{code}")
    return STATUSES.get(code, f"status_{code}")
