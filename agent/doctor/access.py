"""What this process may do with a file, found out without doing it."""

import errno
import os


def check_access(path: str, needed: int) -> None:
    """Raise OSError with the path if the kernel would refuse this access (``os.R_OK | …``).

    A path that ends in a slash is a folder's.
    """
    if os.access(path, needed, effective_ids=True):  # with the capabilities of this process
        return
    os.stat(path)  # if it cannot be reached, this says why
    read_only = needed & os.W_OK and os.statvfs(path).f_flag & os.ST_RDONLY
    why = errno.EROFS if read_only else errno.EACCES
    raise OSError(why, os.strerror(why), path.rstrip("/") or "/")
