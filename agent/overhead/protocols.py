"""Interfaces of the measurement: a workload, and a configuration that slows it down."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Missing:
    """Why something cannot be measured here, and the command that fixes it (may be empty)."""

    reason: str
    cure: str = ""


class CannotMeasure(Exception):
    """Raised by a configuration that does not work after all; carries a `Missing`."""

    def __init__(self, reason: str, cure: str = "") -> None:
        super().__init__(reason)
        self.missing = Missing(reason, cure)


class WorkloadFailed(Exception):
    """Raised by a workload that does not work after all; its text says why."""


class Workload(Protocol):
    """A workload whose slowdown is measured."""

    @property
    def name(self) -> str: ...

    @property
    def operation(self) -> str:
        """The name of one operation in the table: "turn", "message", "transaction"."""

    @property
    def cpus(self) -> frozenset[int] | None:
        """The CPUs to pin it to, or None for no pinning."""

    def check(self) -> Missing | None:
        """Return None if it can run here."""

    def prepared(self) -> AbstractContextManager[None]:
        """Set up what several runs share (a server, a file), and remove it afterwards.

        Raises `WorkloadFailed`.
        """

    def run(self) -> float:
        """Run once and return the seconds per operation. Raises `WorkloadFailed`."""


class Configuration(Protocol):
    """Something attached while the workload runs."""

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str:
        """A one-line description for people."""

    def check(self) -> Missing | None:
        """Return None if it can be armed here."""

    def armed(self) -> AbstractContextManager[None]:
        """Attach on entry and detach on exit. Raises `CannotMeasure`, including when it collected
        nothing: a probe that was never attached must not look cheap."""

    def remarks(self) -> tuple[str, ...]:
        """Return what a reader should know about the runs so far, such as lost events."""


class Nothing:
    """The A/A configuration: nothing compared with nothing, which gives the noise floor."""

    name = "nothing"
    label = "nothing (A/A noise floor)"

    def check(self) -> Missing | None:
        return None

    def armed(self) -> AbstractContextManager[None]:
        return nullcontext()

    def remarks(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Absent:
    """A configuration that is unavailable here; it is listed with the reason."""

    name: str
    label: str
    missing: Missing

    def check(self) -> Missing | None:
        return self.missing

    def armed(self) -> AbstractContextManager[None]:
        """Always raises `CannotMeasure`."""
        raise CannotMeasure(self.missing.reason, self.missing.cure)

    def remarks(self) -> tuple[str, ...]:
        return ()
