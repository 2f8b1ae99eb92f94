"""The overhead suite: workloads, configurations and peers on top of ``agent.overhead``."""

from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
"""The checkout that is measured, unless a second one is as well (`benchmarks.against`)."""
