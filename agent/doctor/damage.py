"""Which files of installed libraries are not what was installed, by what pip wrote down of them."""

import csv
import os
import re
from collections.abc import Iterable, Iterator
from importlib import metadata

CODE = (".py", ".so")
UNREADABLE = (OSError, ValueError, csv.Error)
"""What reading a list of files, or of what is required, may raise if it is damaged itself."""


def cut_short(name: str) -> list[str]:
    """Return the Python sources of a library that are shorter than they were, in words.

    Of what is missing, or of a shared object that was stripped, the library may have no need.
    """
    changed = _changed(name)
    return [said for file, said in changed if file.suffix == ".py" and os.path.exists(_path(file))]


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


def _changed(name: str) -> Iterator[tuple[metadata.PackagePath, str]]:
    """Yield each file of code that is missing or shorter, and what is said of it."""
    for file in _files(name):
        try:
            size = os.stat(_path(file)).st_size
        except FileNotFoundError:
            yield file, f"{file} is missing"
            continue
        if size < (file.size or 0):
            yield file, f"{file} has {size:,} of {file.size:,} bytes"


def _files(name: str) -> list[metadata.PackagePath]:
    """Return a library's files of code; none where nobody wrote them down, as in Debian's."""
    distribution = _distribution(name)
    try:
        files = (distribution and distribution.files) or []
    except UNREADABLE:
        return []
    # a script outside of site-packages is not as long as in the wheel: pip writes its first line
    return [file for file in files if file.suffix in CODE and file.parts[0] != ".."]


def _path(file: metadata.PackagePath) -> str:
    return os.fspath(file.locate())
