"""A client for the agent: measure a block of Python, or start an agent and call its HTTP API.

``collect`` and what belongs to it are imported when they are asked for: `run` imports this package
too, and its command must not wait for what it does not use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.client.collecting import MeasuredBlock as MeasuredBlock
    from agent.client.collecting import NoEvidenceWarning as NoEvidenceWarning
    from agent.client.collecting import collect as collect

__all__ = ["MeasuredBlock", "NoEvidenceWarning", "collect"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from agent.client import collecting

    return getattr(collecting, name)
