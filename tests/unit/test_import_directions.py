"""Imports point one way: recording → sections → evidence → streams → probes.

Imports are read from the source, so that one inside a function counts too.
"""

import sys
from pathlib import Path

import pytest
from fakes.imports import PACKAGE, SOURCES, imported, module_name, reachable

WORDS = {
    *(
        "agent",
        "agent.words",
        "agent.model",
        "agent.errors",
        "agent.internal_metrics",
        "agent.settings",
    ),
    *("agent.json_text", "agent.parent_death", "agent.exit_status", "agent.nouns"),
    *("agent.this_machine", "agent.journal", "agent.regular_files", "agent.small_files"),
    *("agent.service_output", "agent.call_filter"),
}
"""Modules that every part may import."""
WIRING = {"cli", "processes"}
"""The command line, and the processes: they connect the parts."""

PROBES = {
    "probes",
    "spec",
    "scheduler",
    "syscalls",
    "probe",
    "layout",
    "diskstats",
    "proc_softirqs",
}
"""Modules of agent/sections that the privileged side imports too."""
SHOWN = {"shown", "show"}
"""Modules of agent/sections that show evidence to a person: no numpy, no Trio."""


def part(module: str) -> str:
    """Return the part of the agent that a module belongs to."""
    if module in WORDS:
        return "words"
    if module == "agent.__main__":
        return "wiring"
    names = module.split(".")
    if names[1] == "sections":
        return part_of_sections(names)
    return "wiring" if names[1] in WIRING else names[1]


def part_of_sections(names: list[str]) -> str:
    if (PACKAGE.parent.joinpath(*names)).is_dir():
        return "probes"  # contains only a docstring
    return "probes" if names[-1] in PROBES else "shown" if names[-1] in SHOWN else "sections"


MAY_IMPORT = {
    "probes": set[str](),
    "words": {"probes"},
    "aggregate": set[str](),
    "streams": {"probes"},
    "evidence": {"streams"},
    "sections": {"evidence", "streams", "aggregate", "probes"},
    "keeping": {"store"},
    # what /proc counts of a run without eBPF
    "procfs": {"streams"},
    "recording": {"procfs", "sections", "evidence", "streams", "aggregate", "probes"},
    "mock": {"sections", "streams", "probes"},
    "http": {"sections", "aggregate", "probes"},
    # separate programs, which talk to an agent over HTTP
    "terminal": set[str](),
    "shown": {"terminal", "probes"},
    "show": {"shown", "terminal", "probes"},
    "fleet": {"aggregate", "terminal"},
    "client": {"fleet", "probes"},
    # in the processes of other people's tools
    "plugins": {"client", "aggregate", "terminal"},
    "demo": {"client", "show", "terminal"},
    # tries what the agent would do, so it uses what the agent does it with
    "doctor": {"client", "http", "store", "streams", "probes", "terminal", "wiring"},
    "statistics": set[str](),
    "store": {"terminal"},
    "overhead": {"client", "probes", "statistics", "terminal"},
    "comparison": {"aggregate", "statistics", "store", "terminal"},
    # draws pictures; only what writes a report imports it, at the end
    "report": {"aggregate", "comparison", "show", "terminal"},
    "compare": {"client", "comparison", "report", "runs", "show", "store", "terminal"},
    "run": {"client", "comparison", "fleet", "report", "show", "statistics", "store", "terminal"},
    "runs": {"client", "show", "store", "terminal"},
    "wiring": {
        *("recording", "streams", "aggregate", "http", "show", "demo", "overhead", "client"),
        *("terminal", "mock", "run", "runs", "store", "probes", "compare", "comparison"),
        *("keeping", "doctor"),
    },
}

ROOMS = {
    "shared": set[str](),
    "compiler": {"shared"},
    "supervisor": {"shared"},
    "drain": {"shared"},
    "collect": {"shared", "drain"},
}
"""Folders of agent/streams, by the process that runs the code."""


def ours(path: Path) -> set[str]:
    return {name for name in imported(path) if name.split(".")[0] == "agent"}


def test_every_part_has_its_place() -> None:
    assert {part(module_name(path)) for path in SOURCES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_one_way(path: Path) -> None:
    own = part(module_name(path))
    allowed = MAY_IMPORT[own] | {own, "words"}
    assert {name for name in ours(path) if part(name) not in allowed} == set()


@pytest.mark.parametrize("path", sorted((PACKAGE / "streams").rglob("*.py")), ids=module_name)
def test_folders_of_streams_point_one_way(path: Path) -> None:
    names = module_name(path).split(".")
    if len(names) < 3:
        return
    others = {name.split(".")[2] for name in ours(path) if name.startswith("agent.streams.")}
    assert others - {names[2]} <= ROOMS[names[2]]


def test_bcc_is_imported_in_one_file() -> None:
    importers = {
        module_name(path)
        for path in SOURCES
        if any(name.split(".")[0] == "bcc" for name in imported(path))
    }
    assert importers == {"agent.streams.compiler.compiler"}


@pytest.mark.parametrize("folder", ["client", "demo"])
def test_an_agent_is_called_with_the_standard_library_only(folder: str) -> None:
    paths = (PACKAGE / folder).rglob("*.py")
    roots = {name.split(".")[0] for path in paths for name in imported(path)}
    # a block in Trio has it already, and types are for mypy
    assert roots - set(sys.stdlib_module_names) - {"agent", "trio", "_typeshed"} == set()


@pytest.mark.parametrize(
    ("first", "foreign"),
    [
        # runs under an interpreter that has bcc and perhaps nothing else
        ("agent.streams.compiler.compiler", {"bcc"}),
        # holds the privileges: it is small, and contains only code written for it
        ("agent.streams.supervisor.process", set[str]()),
    ],
)
def test_the_privileged_side_needs_the_standard_library_only(first: str, foreign: set[str]) -> None:
    found = reachable(first)
    roots = {name.split(".")[0] for names in found.values() for name in names}
    assert roots - set(sys.stdlib_module_names) - {"agent"} == foreign
    assert "agent.streams.shared.bpf" in found
