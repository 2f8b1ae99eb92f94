"""The agent's metrics about itself on ``/metrics``. Imports no other module of the agent."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class InternalMetric:
    """One ``chainbench_agent_*`` metric family.

    ``samples`` are pairs of a label set and a value. A counter's ``name`` ends in ``_total``,
    as both text formats expect. Any other name raises `ValueError`.
    """

    name: str
    help: str
    type: Literal["gauge", "counter"]
    samples: tuple[tuple[dict[str, str], float], ...]

    def __post_init__(self) -> None:
        if not self.name.startswith("chainbench_agent_"):
            raise ValueError(f"{self.name}: the agent's own metrics are named chainbench_agent_*")
        if self.type == "counter" and not self.name.endswith("_total"):
            raise ValueError(f"{self.name}: a counter's name must end in _total")
