"""Whether the plotting library is there, without importing it."""

from importlib.util import find_spec

LIBRARY = "matplotlib"
CURE = (
    "--html needs matplotlib, which is not installed next to this program: pip install"
    " 'chainbench-agent[report]', in the same environment"
)


def cannot_draw() -> str | None:
    """Return what to do before a report can be written; None if nothing is missing."""
    return None if find_spec(LIBRARY) else CURE
