"""The options that ``run`` and ``record`` share: what to measure, and where to report it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.run.user import User

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 300.0
"""How long to wait for the end of another run."""


NOTHING: Mapping[str, Any] = MappingProxyType({})


class Options(NamedTuple):
    """``agent``: a URL, or None to look for one. ``start``: fields for the body of ``/start``.

    ``others``: URLs of further agents, on whose machines the workload has servers, for example.
    """

    agent: str | None = None
    start: Mapping[str, Any] = NOTHING
    patience_s: float = PATIENCE_S
    output: "Path | None" = None
    json: "Path | None" = None
    html: "Path | None" = None
    quiet: bool = False
    keep: bool = True
    """Whether the runs are kept in the user's store."""
    user: User | None = None
    """Whose process a command of ``run`` becomes; None: ours."""
    others: Sequence[str] = ()
    wished: Sequence[str] = ()
    """Details to measure if the agent has them; those in ``start`` are what the user asked for."""


WAKING = "waking"
OF_WAKING = "offcpu"
"""The detail that tells slower wake-ups from longer blocks, and its section."""


def for_comparison(options: Options) -> Options:
    """Return options that also measure what only a comparison needs, since it costs more."""
    sections, details = options.start.get("sections"), options.start.get("details", ())
    if WAKING in details or (sections is not None and OF_WAKING not in sections):
        return options
    return options._replace(wished=(WAKING,))
