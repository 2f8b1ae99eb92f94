"""The benchmark suite: workloads, configurations and peer tools for ``agent.overhead``."""

from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
"""The checkout under test; `benchmarks.against` measures a second one as well."""
