"""Which files of installed libraries are not what was installed, by what pip wrote down of them."""

import csv
import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import PurePosixPath
from typing import NamedTuple

CODE = (".py", ".so")
UNREADABLE = (OSError, ValueError, csv.Error)
"""What reading a list of files, or of what is required, may raise if it is damaged itself."""


class _File(NamedTuple):
    """A file of code, as it was installed."""

    name: PurePosixPath
    """From the folder that libraries are in, as pip wrote it down."""
    path: str
    size: int


def cut_short(name: str) -> list[str]:
    """Return the Python sources of a library that are shorter than they were, in words.

    Of what is missing, or of a shared object that was stripped, the library may have no need.
    """
    return [
        said
        for file, said in _changed(name)
        if file.name.suffix == ".py" and os.path.exists(file.path)
    ]


class Forbidden(NamedTuple):
    """What this user may not read of a library."""

    path: str
    folder: str
    """That libraries are in."""


def forbidden(name: str) -> Forbidden | None:
    """Return what this user may not read of a library, or of what it requires; None: nothing.

    Where not even pip's list can be read, the folder that has the library's own name is looked at.
    """
    for each in with_required([name]):
        distribution = _distribution(each)
        folder = "" if distribution is None else str(distribution.locate_file(""))
        own = os.path.join(folder, each.replace("-", "_"))
        for path in (folder, *([file.path for file in _files(each)] or [own])):
            if _is_forbidden(path):
                return Forbidden(path, folder)
    return None


def _is_forbidden(path: str) -> bool:
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        return error.errno == errno.EACCES
    return not os.access(path, os.R_OK | (os.X_OK if is_folder else 0))


def damaged(name: str) -> dict[str, list[str]]:
    """Return what is missing or shorter in a library and in those that it requires, by library."""
    found = {each: [said for _, said in _changed(each)] for each in with_required([name])}
    return {each: files for each, files in found.items() if files}


def with_required(names: Iterable[str]) -> list[str]:
    """Return these libraries and all that they require, by name, as far as they are installed."""
    todo, found = [*names], list[str]()
    while todo:
        name = canonical(todo.pop())
        if name not in found and (distribution := _distribution(name)) is not None:
            found.append(name)
            todo += map(name_of, _required_by(distribution))
    return found


def _required_by(distribution: metadata.Distribution) -> list[str]:
    try:
        required = distribution.requires or []
    except UNREADABLE:
        return []
    return [line for line in required if "extra ==" not in line]


def canonical(name: str) -> str:
    """Return a library's name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(requirement: str) -> str:
    """Return the name that a requirement begins with (PEP 508)."""
    found = re.match(r"[\w.-]+", requirement)
    return found[0] if found else ""


def _distribution(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):  # ValueError: no name
        return None


def _changed(name: str) -> Iterator[tuple[_File, str]]:
    """Yield each file of code that is missing, unreadable or shorter, and what is said of it.

    What this user may not look at is not known to be damaged (`forbidden`).
    """
    for file in _files(name):
        try:
            size = os.stat(file.path).st_size
        except (FileNotFoundError, NotADirectoryError):
            yield file, f"{file.name} is missing"
            continue
        except PermissionError:
            continue
        except OSError as error:
            yield file, f"{file.name}: {error.strerror}"
            continue
        if size < file.size:
            yield file, f"{file.name} has {size:,} of {file.size:,} bytes"


def _files(name: str) -> list[_File]:
    """Return a library's files of code; none where pip wrote none down, as of Debian's.

    Not as `Distribution.files` has them: since Python 3.12 that leaves out those that are missing.
    """
    distribution = _distribution(name)
    if distribution is None:
        return []
    try:
        record = (distribution.read_text("RECORD") or "").split("\n")
        # zeros, as a power failure leaves them in a file, are in no file's name
        rows = csv.reader(line for line in record if "\0" not in line)
        listed = [(PurePosixPath(row[0]), int(row[2] or 0)) for row in rows if len(row) > 2]
    except UNREADABLE:
        return []
    # a script outside of site-packages is not as long as in the wheel: pip writes its first line
    return [
        _File(file, str(distribution.locate_file(file)), size)
        for file, size in listed
        if file.suffix in CODE and file.parts[0] != ".."
    ]
