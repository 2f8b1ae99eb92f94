"""What the engine measures: a workload, slowed down by a configuration."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Missing:
    """Why something cannot be measured here, and the command that would mend it (may be empty)."""

    reason: str
    cure: str = ""


class CannotMeasure(Exception):
    """Raised by a configuration that turns out not to work; carries a `Missing`."""

    def __init__(self, reason: str, cure: str = "") -> None:
        super().__init__(reason)
        self.missing = Missing(reason, cure)


class WorkloadFailed(Exception):
    """Raised by a workload that turns out not to work; its text says why."""


class Workload(Protocol):
    """Something to be slowed down."""

    @property
    def name(self) -> str: ...

    @property
    def operation(self) -> str:
        """What one operation is, for the table: "turn", "message", "transaction"."""

    @property
    def cpus(self) -> frozenset[int] | None:
        """The CPUs to pin it to; None lets it use them all."""

    def check(self) -> Missing | None:
        """None when it can run here."""

    def prepared(self) -> AbstractContextManager[None]:
        """Sets up what outlives a single run (a server, a file), and removes it afterwards.

        Raises `WorkloadFailed`.
        """

    def run(self) -> float:
        """Runs it once. Returns seconds per operation. Raises `WorkloadFailed`."""


class Configuration(Protocol):
    """Something that is attached while the workload runs."""

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str:
        """One line for people."""

    def check(self) -> Missing | None:
        """None when it can be armed here."""

    def armed(self) -> AbstractContextManager[None]:
        """Attached within, detached after. Raises `CannotMeasure`, also when it collected nothing:
        a probe that was never attached must not pass for a cheap one."""

    def remarks(self) -> tuple[str, ...]:
        """What a reader should know about the runs so far (lost events, say)."""


class Nothing:
    """The A/A configuration: nothing against nothing, which gives the noise floor."""

    name = "nothing"
    label = "nothing (A/A: the noise floor)"

    def check(self) -> Missing | None:
        return None

    def armed(self) -> AbstractContextManager[None]:
        return nullcontext()

    def remarks(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Absent:
    """A configuration that cannot be had at all here: it is listed, with the reason."""

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
