"""Imports point one way: http → recording → sections → evidence → streams → probes.

Read from the source, so that an import inside of a function counts too.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import agent

PACKAGE = Path(agent.__path__[0])
SOURCES = sorted(PACKAGE.rglob("*.py"))

WORDS = {"agent", "agent.model", "agent.errors", "agent.internal_metrics", "agent.settings"}
"""What every part may speak in."""
WIRING = {"agent.__main__", "agent.cli"}
"""The command line; the processes, which put the parts together, are in a folder of theirs."""

PROBES = {"probes", "spec", "scheduler", "syscalls", "probe", "layout", "diskstats"}
"""Of agent/sections, what the privileged side reads too."""
SHOWN = {"shown", "show"}
"""Of agent/sections, what a person sees: no numpy, no Trio."""


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part(module: str) -> str:
    """The part of the agent that a module belongs to."""
    if module in WORDS:
        return "words"
    if module in WIRING:
        return "wiring"
    names = module.split(".")
    if names[1] == "sections":
        return part_of_sections(names)
    return "wiring" if names[1] == "processes" else names[1]


def part_of_sections(names: list[str]) -> str:
    if (PACKAGE.parent.joinpath(*names)).is_dir():
        return "probes"  # nothing but a docstring
    return "probes" if names[-1] in PROBES else "shown" if names[-1] in SHOWN else "sections"


MAY_IMPORT = {
    "probes": set[str](),
    "words": {"probes"},
    "aggregate": set[str](),
    "streams": {"probes"},
    "evidence": {"streams"},
    "sections": {"evidence", "streams", "aggregate", "probes"},
    "recording": {"sections", "evidence", "streams", "aggregate", "probes"},
    "http": {"sections", "aggregate", "probes"},
    # programs of their own next to the agent: they speak to one over HTTP
    "terminal": set[str](),
    "shown": {"terminal", "probes"},
    "show": {"shown", "terminal", "probes"},
    "client": set[str](),
    "demo": {"client", "show", "terminal"},
    "overhead": {"client", "probes"},
    "wiring": {
        *("recording", "streams", "aggregate", "http", "show", "demo", "overhead", "client"),
        "terminal",
    },
}

ROOMS = {
    "shared": set[str](),
    "compiler": {"shared"},
    "supervisor": {"shared"},
    "drain": {"shared"},
    "collect": {"shared", "drain"},
}
"""Of agent/streams, by the process that runs the code."""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            # "from agent.streams import bpf" names a module, "from agent.model import Labels" not
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if is_module(full) else node.module


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return name.startswith("agent.") and (path.is_dir() or path.with_suffix(".py").exists())


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
def test_rooms_of_streams_point_one_way(path: Path) -> None:
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


def source_of(module: str) -> Path:
    path = PACKAGE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


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
    found = {module: set(imported(source_of(module))) for module in imported_by(first)}
    roots = {name.split(".")[0] for names in found.values() for name in names}
    assert roots - set(sys.stdlib_module_names) - {"agent"} == foreign
    assert "agent.streams.shared.bpf" in found


def imported_by(first: str) -> set[str]:
    """Modules of ours that come with one, itself among them."""
    todo, found = {first}, set[str]()
    while todo:
        module = todo.pop()
        found.add(module)
        todo |= ours(source_of(module)) - found
    return found


def test_the_compiler_runs_under_python_3_9() -> None:
    """The distribution's interpreter, which has bcc, may be that old."""
    for module in imported_by("agent.streams.compiler.compiler"):
        source = source_of(module).read_text()
        tree = ast.parse(source, module, feature_version=(3, 9))
        assert not list(newer_than_3_9(tree)), module


def newer_than_3_9(tree: ast.AST) -> Iterator[int]:
    """Lines with what the grammar of 3.9 takes and its library does not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in ("slots", "kw_only", "strict"):
            yield node.value.lineno
        annotations = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for annotation in filter(None, annotations):
            for part in ast.walk(annotation):
                if isinstance(part, ast.BinOp) and isinstance(part.op, ast.BitOr):
                    yield part.lineno
