"""The imports between the package's modules, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import agent

PACKAGE = Path(agent.__path__[0])
SOURCES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            # "from agent.streams import bpf" imports a module,
            # "from agent.model import Labels" does not
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if is_module(full) else node.module


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return name.startswith("agent.") and (path.is_dir() or path.with_suffix(".py").exists())


def source_of(module: str) -> Path:
    path = PACKAGE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def reachable(first: str) -> dict[str, set[str]]:
    """Return the imports of ``first`` and of every module of the package that it depends on."""
    todo, found = {first}, dict[str, set[str]]()
    while todo:
        module = todo.pop()
        found[module] = set(imported(source_of(module)))
        # importing a.b.c runs a and a.b first
        todo |= {name for name in found[module] if name.startswith("agent.")} - found.keys()
        todo |= {module.rpartition(".")[0]} - found.keys() - {""}
    return found
