"""Imports point one way: http → recording → {streams, aggregate} → model.

Read from the source, so that an import inside of a function counts too.
"""

import sys
from pathlib import Path

import pytest
from fakes.imports import SOURCES, imported, module_name, reachable

WORDS = {"agent", "agent.model", "agent.errors", "agent.internal_metrics", "agent.settings"}
"""What every part may speak in."""
WIRING = {"agent.__main__", "agent.cli", "agent.processes.launch", "agent.processes.serving"}
"""The command line, and the processes that put the parts together."""


def part(module: str) -> str:
    """The part of the agent that a module belongs to."""
    if module in WORDS:
        return "words"
    if module in WIRING:
        return "wiring"
    names = module.split(".")
    return "wiring" if names[1] == "processes" else names[1]


MAY_IMPORT = {
    "words": set[str](),
    "aggregate": set[str](),
    "streams": set[str](),
    "evidence": {"streams", "aggregate"},
    "recording": {"evidence", "streams", "aggregate"},
    "http": {"recording", "aggregate"},
    # programs of their own beside the agent: they speak to one over HTTP
    "show": set[str](),
    "demo": {"client", "show"},
    "client": set[str](),
    "overhead": set[str](),
    "wiring": {"recording", "streams", "aggregate", "http", "show", "demo", "overhead"},
}


def ours(path: Path) -> set[str]:
    return {name for name in imported(path) if name.split(".")[0] == "agent"}


def test_every_part_has_its_place() -> None:
    assert {part(module_name(path)) for path in SOURCES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_one_way(path: Path) -> None:
    own = part(module_name(path))
    allowed = MAY_IMPORT[own] | {own, "words"}
    assert {name for name in ours(path) if part(name) not in allowed} == set()


def test_words_rest_on_nothing() -> None:
    for path in SOURCES:
        if module_name(path) in WORDS:
            assert ours(path) == set()


def test_bcc_is_imported_in_one_file() -> None:
    importers = {
        module_name(path)
        for path in SOURCES
        if any(name.split(".")[0] == "bcc" for name in imported(path))
    }
    assert importers == {"agent.streams.compiler.compiler"}


@pytest.mark.parametrize(
    ("first", "foreign"),
    [
        # runs under an interpreter that has bcc and may have nothing else
        ("agent.streams.compiler.compiler", {"bcc"}),
        # holds the privileges: small, and nothing in it that was not written for it
        ("agent.streams.supervisor.supervisor", set[str]()),
    ],
)
def test_the_privileged_side_needs_the_standard_library_only(first: str, foreign: set[str]) -> None:
    found = reachable(first)
    roots = {name.split(".")[0] for names in found.values() for name in names}
    assert roots - set(sys.stdlib_module_names) - {"agent"} == foreign
    assert "agent.streams.shared.bpf" in found
