"""Metric families of runs, as data: how a family is rendered follows from its totals' type."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Family:
    """One family that has a sample (or a histogram's samples) for each label set."""

    name: str
    type: Literal["histogram", "gauge", "counter"]
    help: str
    label: str = ""
    """A label beyond those of the run, of families whose totals are `Counts`."""
