"""The plotting library: whether it is there, and its use as late as possible."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

LIBRARY = "matplotlib"
CURE = (
    "--html needs matplotlib, which is not installed next to this program: in the same"
    " environment, run pip install 'matplotlib>=3.9'"
)
SCREEN = "MPLBACKEND"
"""The variable that chooses the library's screen. None is needed, and a wrong one fails imports."""


class CannotDraw(Exception):
    """The library cannot be used; the text says why."""


def cannot_draw() -> str | None:
    """Return what to do before a report can be written; None if nothing is missing."""
    return None if find_spec(LIBRARY) else CURE


def drawn_page(document: Mapping[str, Any]) -> str:
    """Return the report on a document (`agent.report.page.page`). Raises `CannotDraw`."""
    os.environ.pop(SCREEN, None)
    try:
        from agent.report.page import page
    except ImportError as error:
        raise CannotDraw(str(error)) from error
    return page(document)
