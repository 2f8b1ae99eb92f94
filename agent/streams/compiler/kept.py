"""What earlier compilations yielded, kept for later agents: then these need neither bcc nor clang.

Instructions are kept as bcc yields them, with rare cases last (`rare.py`) and before anything is
filled in (`linking.py`): with the same source and constants they are the same for every agent until
the next boot. The kernel verifies them at each load as always.

They lie in a folder that only root can read and write, so that nobody else decides what is loaded.
An agent that does not run as root compiles each time. So does root's if anything is not as it
should be: the folder, an owner, the content of a file, the room for another. That is no error.
Standard library only.
"""

import contextlib
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

ROOT = 0
ABOVE = ("/", "run")
"""/run is empty after a boot, and then there may be another kernel."""
OURS = {"chainbench-agent": 0o755, "programs": 0o700}
"""With their modes. The first is also the folder of the service's socket (agent/words.py)."""

MOST = 64
"""Files in the folder, of 0.1 MiB each: one for each choice of sections, scope and so on."""
LONGEST = 8 << 20
"""Bytes of a file, many times what any of them needs."""
HEAD = b"chainbench-agent programs 1\n"

BOOT = Path("/proc/sys/kernel/random/boot_id")
LIBRARIES = Path("/etc/ld.so.cache")
"""ldconfig(8) writes it anew after a library was installed: bcc's, or LLVM's below it."""

# sums of bits: "|" between two names is a type, as far as the check for Python 3.9 can see
FOLDER = os.O_DIRECTORY + os.O_NOFOLLOW
FILE = os.O_NOFOLLOW + os.O_NONBLOCK
"""Non-blocking, since it might be a pipe."""
NEW_FILE = os.O_WRONLY + os.O_CREAT + os.O_EXCL


class Compiled(NamedTuple):
    """What bcc makes of the C files."""

    functions: dict[str, bytes]
    """The instructions of each function, by name."""
    bcc: str
    """The version of the bcc that compiled them."""


def key(bcc: str, text: str, folders: Sequence[Path], cflags: Sequence[str]) -> Optional[str]:
    """Return a name for all that a compilation's outcome depends on; None if that is unknown.

    ``bcc``: the file of its module. ``text``: the source, and that of what works on the outcome.
    ``folders``: of all that the text may include.
    """
    try:
        parts = [*_tools(bcc), *_kernel(), *_headers(folders)]
    except OSError:
        return None
    digest = hashlib.sha256()
    for part in (*parts, text.encode(), *(flag.encode() for flag in cflags)):
        digest.update(b"%d:%s" % (len(part), part))
    return digest.hexdigest()


def read(name: Optional[str]) -> Optional[Compiled]:
    """Return what is kept under this key, or None."""
    if name is None or os.geteuid() != ROOT:
        return None
    try:
        with _folder() as folder:
            return _unpacked(name, _content(folder, name))
    except (OSError, ValueError):
        return None


def write(name: Optional[str], compiled: Compiled) -> None:
    """Keep this under a key, if that is possible, and then at most `MOST`."""
    if name is None or os.geteuid() != ROOT:
        return
    with contextlib.suppress(OSError), _folder(make=True) as folder:
        _put(folder, name, _packed(name, compiled))
        _remove_oldest(folder)


def _tools(bcc: str) -> list[bytes]:
    # not bcc's version: one would have to import it, which is what a kept compilation saves
    parts = [sys.version, sys.executable, bcc]
    for file in (bcc, LIBRARIES):
        found = os.stat(file)
        parts += [str(found.st_mtime_ns), str(found.st_size)]
    return [part.encode() for part in parts]


def _kernel() -> list[bytes]:
    here = os.uname()
    return [here.release.encode(), here.version.encode(), here.machine.encode(), BOOT.read_bytes()]


def _headers(folders: Sequence[Path]) -> Iterator[bytes]:
    for folder in folders:
        for path in sorted(folder.rglob("*.h")):
            yield str(path.relative_to(folder)).encode()
            yield path.read_bytes()


@contextlib.contextmanager
def _folder(*, make: bool = False) -> Iterator[int]:
    """Open the folder, each step from the one before. Raises OSError if one is not ours alone."""
    with contextlib.ExitStack() as opened:
        fd: Optional[int] = None
        for name in (*ABOVE, *OURS):
            if make and name in OURS:
                _make_folder(fd, name)
            fd = os.open(name, FOLDER, dir_fd=fd)
            opened.callback(os.close, fd)
            _check(os.fstat(fd), OURS.get(name, 0o755))
        assert fd is not None
        yield fd


def _make_folder(parent: Optional[int], name: str) -> None:
    before = os.umask(0o022)  # users must be able to reach the socket, whatever root's umask is
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, OURS[name], dir_fd=parent)
    finally:
        os.umask(before)


def _check(found: os.stat_result, mode: int) -> None:
    """Raise PermissionError unless it is root's, and allows others no more than this mode does."""
    if found.st_uid != ROOT or stat.S_IMODE(found.st_mode) & ~mode & 0o077:
        raise PermissionError


def _content(folder: int, name: str) -> bytes:
    fd = os.open(name, FILE, dir_fd=folder)
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        _check(found, 0o600)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LONGEST:
            raise PermissionError
        with contextlib.suppress(OSError):
            os.utime(fd)  # it was of use: others go first
        return file.read(LONGEST)


def _packed(name: str, compiled: Compiled) -> bytes:
    functions = {function: code.hex() for function, code in compiled.functions.items()}
    body = json.dumps({"bcc": compiled.bcc, "functions": functions}).encode()
    return HEAD + _digest(name, body) + body


def _unpacked(name: str, content: bytes) -> Compiled:
    """Undo `_packed`. Raises ValueError for anything that it did not write under this name."""
    start = len(HEAD) + hashlib.sha256().digest_size
    body = content[start:]
    if content[:start] != HEAD + _digest(name, body):
        raise ValueError
    found = json.loads(body)
    functions = {function: bytes.fromhex(code) for function, code in found["functions"].items()}
    return Compiled(functions, found["bcc"])


def _digest(name: str, body: bytes) -> bytes:
    return hashlib.sha256(name.encode() + body).digest()


def _put(folder: int, name: str, content: bytes) -> None:
    """Write a file that others see whole or not at all."""
    unfinished = f"{name}.{os.urandom(8).hex()}"
    try:
        fd = os.open(unfinished, NEW_FILE, 0o600, dir_fd=folder)
        with open(fd, "wb") as file:
            file.write(content)
        os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(unfinished, dir_fd=folder)
        raise


def _remove_oldest(folder: int) -> None:
    """Remove what was written or read longest ago, also what a killed compiler left unfinished."""
    found = {name: _last_used(folder, name) for name in os.listdir(folder)}
    for name in sorted(found, key=found.__getitem__)[:-MOST]:
        with contextlib.suppress(OSError):  # another agent was faster
            os.unlink(name, dir_fd=folder)


def _last_used(folder: int, name: str) -> int:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime_ns
    except FileNotFoundError:
        return 0
