"""What stands in the package's source, for tests that compare it with something else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import agent

PACKAGE = Path(agent.__path__[0])


def nodes() -> Iterator[tuple[ast.AST, ast.Module]]:
    """Everything that stands in the package's modules."""
    for path in PACKAGE.rglob("*.py"):
        module = ast.parse(path.read_text())
        yield from ((node, module) for node in ast.walk(module))


def calls(*functions: str) -> Iterator[tuple[ast.Call, ast.Module]]:
    """Every call of a function of this name."""
    for node, module in nodes():
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) in functions:
            yield node, module


def text_of(node: ast.expr, module: ast.Module) -> str | None:
    """The string that an expression stands for: a literal, or a constant of its module.

    What is formatted into it stands in angle brackets.
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
    """What a function is called with first, as far as it stands in the source."""
    return {text for call, module in calls(function) if (text := text_of(call.args[0], module))}


def keyword_arguments(keyword: str, function: str) -> set[str]:
    """What a function is called with under this keyword, as far as it stands in the source."""
    return {
        text
        for call, module in calls(function)
        for given in call.keywords
        if given.arg == keyword and (text := text_of(given.value, module))
    }


def keys_assigned_in(mapping: str) -> set[str]:
    """``x.mapping["key"] = ...``, anywhere."""
    return {
        key
        for node, module in nodes()
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Subscript) and ast.unparse(target.value).endswith(mapping)
        if (key := text_of(target.slice, module))
    }
