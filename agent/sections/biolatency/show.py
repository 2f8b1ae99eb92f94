"""Terminal output for block I/O latency."""

from agent.terminal.latency import latency as lines

__all__ = ["TITLE", "lines"]

TITLE = "Block I/O latency: from issue to completion"
