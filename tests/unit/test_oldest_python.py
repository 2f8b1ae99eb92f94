"""The compiler's imports run under Python 3.9 (RHEL 9), regardless of the agent's Python."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest
from fakes.imports import PACKAGE, module_name, reachable, source_of

FILES = sorted(map(source_of, reachable("agent.streams.compiler.compiler")))


def newer_needs(*files: Path) -> list[str]:
    """Return the syntax and library features newer than Python 3.9 that vermin finds in files."""
    command = [sys.executable, "-c", "import vermin; vermin.main()", "-vvv", "--no-tips"]
    command += ["--eval-annotations", "--feature", "union-types", "--target=3.9-"]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    assert "Minimum required versions" in done.stdout, done.stderr
    needs = [line for line in done.stdout.splitlines() if re.search(r"requires? !2, 3\.1", line)]
    assert bool(done.returncode) == bool(needs), done.stdout
    return needs


def unions(file: Path) -> Iterator[str]:
    """Find ``X | Y`` in annotations, ``X | None`` anywhere: vermin misses those of ``list[int]``.

    Python 3.9 fails when it evaluates them, which is at import unless they are quoted.
    """
    for node in ast.walk(ast.parse(file.read_text(), feature_version=(3, 9))):
        for name in ("annotation", "returns"):
            inside = ast.walk(getattr(node, name, None) or ast.Pass())
            yield from (ast.unparse(part) for part in inside if is_union(part))
        if is_union(node) and "None" in (ast.unparse(node.left), ast.unparse(node.right)):
            yield ast.unparse(node)


def is_union(node: ast.AST) -> TypeGuard[ast.BinOp]:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)


def alternatives(pattern: str) -> Iterator[str]:
    """Expand ``{a,b}`` in a pattern, which pathlib does not know."""
    before, brace, rest = pattern.partition("{")
    inner, _, after = rest.partition("}")
    yield from (f"{before}{one}{after}" for one in inner.split(",")) if brace else (pattern,)


def test_the_compiling_process_needs_no_newer_python() -> None:
    assert newer_needs(*FILES) == []


def test_ruff_takes_the_same_files_for_older_python() -> None:
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    patterns = settings["tool"]["ruff"]["per-file-target-version"]
    globs = (glob for pattern in patterns for glob in alternatives(pattern))
    listed = {file for glob in globs for file in PACKAGE.parent.glob(glob)}
    empty = {file for file in (*FILES, *listed) if file.name == "__init__.py"}
    assert listed - empty == {*FILES} - empty


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_the_compiling_process_evaluates_no_unions(file: Path) -> None:
    assert list(unions(file)) == []


@pytest.mark.parametrize(
    "text",
    [
        "from dataclasses import dataclass\n@dataclass(slots=True)\nclass A: ...",
        "for pair in zip('a', 'b', strict=True): ...",
        "match 1:\n    case 1: ...",
        "(1).bit_count()",
    ],
)
def test_newer_python_is_noticed(text: str, tmp_path: Path) -> None:
    file = tmp_path / "newer.py"
    file.write_text(text)
    assert newer_needs(file)


@pytest.mark.parametrize(
    "text",
    [
        "def f() -> list[int] | None: ...",
        "def f(x: dict[str, list[int] | str]): ...",
        "class A:\n    x: int | str",
        "Maybe = list[int] | None",
    ],
)
def test_unions_are_noticed(text: str, tmp_path: Path) -> None:
    file = tmp_path / "newer.py"
    file.write_text(text)
    assert list(unions(file))
