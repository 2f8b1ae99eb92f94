"""The options that ``run`` and ``record`` share: what to measure, and where to report it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.run.user import User

PATIENCE_S = 300.0
"""How long to wait for the end of another run."""


@dataclass(frozen=True, slots=True)
class Options:
    """``agent``: a URL, or None to look for one. ``start``: fields for the body of ``/start``."""

    agent: str | None = None
    start: Mapping[str, Any] = field(default_factory=dict)
    patience_s: float = PATIENCE_S
    output: Path | None = None
    json: Path | None = None
    quiet: bool = False
    user: User | None = None
    """Whose process a command of ``run`` becomes; None: ours."""
