"""Metric families of runs, as data: the type of a family's totals decides how it is rendered."""

from collections.abc import Mapping
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

    def labels(self, of_runs: Mapping[str, str]) -> Mapping[str, str]:
        """Return those of a label set that the family's samples carry."""
        if self.has_scenario:
            return of_runs
        return {name: value for name, value in of_runs.items() if name != "scenario"}
