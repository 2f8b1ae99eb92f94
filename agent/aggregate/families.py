"""Metric families of runs, as data: the type of a family's totals decides how it is rendered."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family, with a sample (or a histogram's samples) for each label set."""

    name: str
    type: Literal["histogram", "gauge", "counter"]
    help: str
    label: str = ""
    """A label in addition to those of the run, for families with several samples a label set."""
    has_scenario: bool = True
    """Whether the samples carry the label ``scenario``."""
