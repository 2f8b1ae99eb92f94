"""The libraries from PyPI that the agent imports. Standard library only: others import them."""

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple

from agent.doctor.damage import cut_short, damaged, forbidden, name_of, with_required
from agent.doctor.finding import Finding, failed, ok, unknown, warning
from agent.doctor.importing import why_not
from agent.settings import Settings
from agent.terminal.values import printable

DISTRIBUTION = "chainbench-agent"
SERVICE = "agent.doctor.service"
"""Is tried as well: what it imports is to end no process either."""


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


class Libraries:
    """What came of trying to import them, which is done once, and when it is first asked for."""

    @cached_property
    def _why_not(self) -> dict[str, str]:
        """Why a library cannot be imported, or what `service` needs; empty if it can."""
        said = why_not([*(library.modules for library in LIBRARIES), (SERVICE,)])
        # has an isolated interpreter add site-packages (agent/client/run_module.py)
        find_spec(LIBRARIES[0].modules[0])
        return dict(zip((*(library.name for library in LIBRARIES), SERVICE), said, strict=True))

    @property
    def _broken(self) -> set[str]:
        return {library.name for library in LIBRARIES if self._why_not[library.name]}

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong. What fails with another library is said of that one alone."""
        named: set[str] = set()
        for library in LIBRARIES:
            if library.name in self._broken and not library.imports & self._broken:
                damage = damaged(library.name)
                named |= damage.keys() | {library.name}
                yield _lacking(library, self._why_not[library.name], damage)
        for name in with_required(library.name for library in LIBRARIES):
            if name not in named and (files := cut_short(name)):
                named.add(name)
                yield warning(name, f"is damaged: {_some(files)}. {_cure([name])}")
        if not named:
            yield ok("libraries", ", ".join(_with_version(each.name) for each in LIBRARIES))

    def service(self, settings: Settings) -> Iterator[Finding]:
        """Look at what `agent.doctor.service` does, which cannot be imported without libraries."""
        why = self._why_not[SERVICE]
        if why and self._broken:
            yield unknown("service", "that needs the libraries that failed")
        elif why:
            yield failed("service", f"{SERVICE} cannot be imported ({why})")
        else:
            from agent.doctor.service import service

            yield from service(settings)


def _with_version(name: str) -> str:
    return f"{name} {_version(name) or '(version not known)'}"


def _lacking(library: Library, why: str, damage: Mapping[str, list[str]]) -> Finding:
    said = [f"{name} is damaged: {_some(files)}. " for name, files in damage.items()]
    text = f"cannot be imported ({why}). {''.join(said)}"
    if not damage and (found := forbidden(library.name)):
        cure = f"chmod -R a+rX {shlex.quote(found.folder)}"
        text += f"This user may not read {printable(found.path)}: {cure}"
    else:
        text += _cure([*damage] or [library.name])
    if library.is_needed:
        return failed(library.name, text)
    return warning(library.name, f"{text}. The agent serves without it")


def _some(files: Sequence[str]) -> str:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{printable(files[0])}{more}"


def _cure(names: Iterable[str]) -> str:
    pip = shlex.join([sys.executable, "-m", "pip", "install", "--force-reinstall"])
    wanted = [requirement for name in names for requirement in _requirements(name)]
    return f"Install it again: {pip} {' '.join(map(shlex.quote, wanted))}"


def _requirements(name: str) -> list[str]:
    """Return what to have pip install: what the agent requires of a library, else what is there."""
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        required = []
    own = [line for line in required if name_of(line) == name and "extra ==" not in line]
    return own or [_as_installed(name)]


def _as_installed(name: str) -> str:
    """Return a requirement of the version that is there, which those that require it can use."""
    version = _version(name)
    return f"{name}=={version}" if version else name


def _version(name: str) -> str:
    """Return a library's version; empty if it is not known, as with metadata that are damaged."""
    with suppress(metadata.PackageNotFoundError, KeyError, ValueError):
        return metadata.version(name) or ""
    return ""
