"""The libraries from PyPI that the agent imports. Standard library only, until one is tried."""

import shlex
import sys
from collections.abc import Iterator
from importlib import import_module, metadata
from typing import NamedTuple

from agent.doctor.finding import Finding, failed, ok, warning
from agent.settings import Settings
from agent.terminal.values import printable

DISTRIBUTION = "chainbench-agent"
LONGEST_ERROR = 300


class Library(NamedTuple):
    """What pip calls it, the modules that are tried, and which others these import."""

    name: str
    modules: tuple[str, ...]
    imports: frozenset[str] = frozenset()
    is_needed: bool = True


LIBRARIES = (
    Library("trio", ("trio",)),
    Library("numpy", ("numpy", "numpy.typing", "numpy.random")),
    Library("msgspec", ("msgspec",)),
    Library("hdrhistogram", ("hdrh.histogram", "hdrh.codec")),
    Library("h11", ("h11",)),
    Library(
        "hypercorn",
        ("hypercorn.config", "hypercorn.trio.tcp_server", "hypercorn.protocol.h11"),
        frozenset({"trio", "h11"}),
    ),
    Library("quart", ("quart", "quart.wrappers.base"), frozenset({"hypercorn", "h11"})),
    Library("quart-trio", ("quart_trio",), frozenset({"trio", "hypercorn", "quart", "h11"})),
    Library("prometheus-client", ("prometheus_client",), is_needed=False),
)
"""In an order in which each comes after those that it imports."""


def libraries() -> Iterator[Finding]:
    """Import what the agent imports. What fails with another library is said of that one alone."""
    broken: set[str] = set()
    for library in LIBRARIES:
        why_not = _why_not(library)
        if why_not:
            broken.add(library.name)
        if why_not and not library.imports & broken:
            yield _lacking(library, why_not)
    if not broken:
        yield ok("libraries", ", ".join(f"{each.name} {_version(each)}" for each in LIBRARIES))


def service_with_them(settings: Settings) -> Iterator[Finding]:
    """Look at what `agent.doctor.service` does, which cannot be imported without libraries."""
    try:
        from agent.doctor.service import service
    except Exception:
        if not any(map(_why_not, LIBRARIES)):
            raise
        yield warning("service", "not known: that needs the libraries that failed")
        return
    yield from service(settings)


def _why_not(library: Library) -> str:
    """Return why a library cannot be imported; empty if it can."""
    for name in library.modules:
        try:
            module = import_module(name)
        except Exception as error:  # noqa: BLE001  a damaged one may raise anything
            said = str(error).strip().splitlines() or [""]
            return printable(f"{type(error).__name__}: {said[-1]}", LONGEST_ERROR)
        if getattr(module, "__file__", None) is None:  # what is left of one that was removed
            return f"{name} is a folder without a module"
    return ""


def _lacking(library: Library, why_not: str) -> Finding:
    cure = shlex.join([sys.executable, "-m", "pip", "install", "--force-reinstall"])
    wanted = " ".join(map(shlex.quote, _requirements(library.name)))
    text = f"cannot be imported ({why_not}). Install it again: {cure} {wanted}"
    if library.is_needed:
        return failed(library.name, text)
    return warning(library.name, f"{text}. The agent serves without it")


def _requirements(name: str) -> list[str]:
    """Return what the installed agent requires of a library, as pip takes it; else its name."""
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [name]
    own = [line for line in required if _name_of(line) == name and "extra ==" not in line]
    return own or [name]


def _name_of(requirement: str) -> str:
    end = next((at for at, char in enumerate(requirement) if char in " <>=!~;[("), None)
    return requirement[:end]


def _version(library: Library) -> str:
    try:
        return metadata.version(library.name)
    except metadata.PackageNotFoundError:
        return "(version not known)"
