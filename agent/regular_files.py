"""Regular files that somebody has named, opened without waiting. Standard library only.

To open a pipe means to wait for somebody who writes to it, and a command or a service must not hang
because of a wrong name. A link is followed: certificates and tokens often are links to the current
one.
"""

import errno
import os
import stat


def open_regular(path: str) -> int:
    """Return a descriptor of a file, to read it. Raises OSError with the path in ``filename``."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISSOCK(os.stat(path).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file but a socket", path) from error
        raise
    try:
        found = os.fstat(fd)
        kind = found.st_mode
        if stat.S_ISDIR(kind):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "it is no regular file", path)
        # one of the kernel's, such as /proc/kmsg, may have an end that would be waited for
        if found.st_size == 0 and os.fstatvfs(fd).f_blocks == 0:
            raise OSError(errno.EINVAL, "it is a file of the kernel's, or an empty one", path)
        os.set_blocking(fd, True)
    except OSError:
        os.close(fd)
        raise
    return fd


def content(fd: int, largest: int) -> bytes:
    """Return what is in an open file. Raises OSError if that is more than ``largest`` bytes."""
    with open(fd, "rb", closefd=False) as file:
        found = file.read(largest + 1)
    if len(found) > largest:
        raise OSError(errno.EFBIG, f"it has more than {largest} bytes")
    return found


def read_regular(path: str, largest: int) -> bytes:
    """Do both, for a file that is named. Raises OSError."""
    fd = open_regular(path)
    try:
        return content(fd, largest)
    finally:
        os.close(fd)
