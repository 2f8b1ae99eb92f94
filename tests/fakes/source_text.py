"""Strings and calls in the package's source, for tests that compare them with something else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import agent

PACKAGE = Path(agent.__path__[0])


def nodes() -> Iterator[tuple[ast.AST, ast.Module]]:
    """Yield every syntax node of the package, with its module."""
    for path in PACKAGE.rglob("*.py"):
        module = ast.parse(path.read_text())
        yield from ((node, module) for node in ast.walk(module))


def calls(*functions: str) -> Iterator[tuple[ast.Call, ast.Module]]:
    """Yield every call of functions with these names."""
    for node, module in nodes():
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) in functions:
            yield node, module


def text_of(node: ast.expr, module: ast.Module) -> str | None:
    """Return the string value of an expression: of a literal, or of a constant of its module.

    Expressions in an f-string appear in angle brackets.
    """
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_part_of_text, node.values))
    if not isinstance(node, ast.Name):
        return None
    for statement in module.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == node.id:
            return text_of(statement.value, module)
    return None


def _part_of_text(part: ast.expr) -> str:
    if isinstance(part, ast.FormattedValue):
        return f"<{ast.unparse(part.value)}>"
    return str(ast.literal_eval(part))


def first_arguments(function: str) -> set[str]:
    """Return the first arguments in all calls of a function, if they are strings in the source."""
    return {text for call, module in calls(function) if (text := text_of(call.args[0], module))}


def keyword_arguments(keyword: str, function: str) -> set[str]:
    """Return a function's arguments for this keyword, if they are strings in the source."""
    return {
        text
        for call, module in calls(function)
        for given in call.keywords
        if given.arg == keyword and (text := text_of(given.value, module))
    }


def keys_assigned_in(mapping: str) -> set[str]:
    """Return the keys of all assignments ``x.mapping["key"] = ...`` in the package."""
    return {
        key
        for node, module in nodes()
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Subscript) and ast.unparse(target.value).endswith(mapping)
        if (key := text_of(target.slice, module))
    }
