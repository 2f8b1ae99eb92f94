"""Terminal output for run-queue latency."""

from agent.terminal.latency import latency as lines

__all__ = ["TITLE", "lines"]

TITLE = "Run-queue latency: runnable, waiting for a CPU"
