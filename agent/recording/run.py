"""One run, from its start to its evidence. Data only: the recorder changes it."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import trio

from agent.aggregate.series import LabelSet
from agent.aggregate.totals import RunTotals
from agent.errors import InvalidRequest
from agent.evidence.checks import Check
from agent.evidence.cost import CpuMeter
from agent.evidence.stalls import StallMeter
from agent.model import StartRequest
from agent.procfs.following import Following
from agent.recording.clock import elapsing_ns
from agent.recording.collection import Collection
from agent.sections.last_run import LastRunFigures
from agent.sections.probes import SECTIONS
from agent.streams.collect.observed import Arming, Stopped
from agent.streams.shared.causes import CannotCollect
from agent.words import Json

EndedBy: TypeAlias = Literal["stop", "scope"]
"""What ended a run: a request, or that the last process of its tree had ended."""


class Run:
    """A run's request, its results so far, and the events that callers wait for."""

    def __init__(self, request: StartRequest, machine: str, *, mock: bool = False) -> None:
        self.id = str(uuid.uuid4())
        self.request = request
        self.mock = mock
        """Whether the events are synthetic."""
        self.scoped = request.scope.kind != "system"
        self.label_set = LabelSet.of(request.labels, machine)
        self.label_sets: Json = {}
        """What the answer to the start says of the label sets on ``/metrics``."""
        self.collection = Collection(self.scoped, request.sections)
        self.arming: Arming | None = None
        self.failure: CannotCollect | None = None
        """Why nothing can be measured; the run goes on all the same."""
        self.procfs: Following | None = None
        """What /proc counts of the run, if nothing can be measured."""
        self.why_no_totals = ""
        """Why that could not be read, if that is so."""
        self.refusal: InvalidRequest | None = None
        """Why the run never began."""
        self.meter = CpuMeter({})
        self.stalls = StallMeter()
        self.checks: list[Check] = []
        self.started_at = datetime.now(UTC)
        self.requested_ns = elapsing_ns()
        self.attached_ns: int | None = None
        """When everything had been attached, since the request; None if nothing was."""
        self.ended_ns: int | None = None
        """When the run was asked to stop, or its tree had ended, since the request."""
        self.ended_by: EndedBy = "stop"
        self.cut_short = False
        """Whether the agent ended, and the run with it."""
        self.following = trio.CancelScope()
        """Of the task that keeps what there is of the run."""
        self.armed = trio.Event()
        self.finished = trio.Event()
        self.wall: Json = {}
        """Where its wall time went, as evidence has it."""
        self.wall_totals: RunTotals = {}
        """The same, as ``/metrics`` counts it."""
        self.last_wall: LastRunFigures = {}
        """The same, as ``/metrics`` shows it of the last run."""
        self.figures: LastRunFigures = {}
        """What ``/metrics`` shows of the last run."""
        self.evidence: Json = {}

    def elapsed_ns(self) -> int:
        """Return the time since the start was requested, including time spent suspended.

        Not by the wall clock, which may be set in the middle of a run.
        """
        return elapsing_ns() - self.requested_ns

    def as_it_ended(self, stopped: Stopped) -> Stopped:
        """Return ``stopped`` with the end of the run; that of its tree if it ended with that.

        Between that end and the stop nothing was left that could have been counted.
        """
        if self.ended_by == "stop" or stopped.tree_ended_ns is None or self.ended_ns is None:
            return stopped
        noticed_after_ns = stopped.stop_ns - stopped.tree_ended_ns
        self.ended_ns = max(self.ended_ns - noticed_after_ns, self.attached_ns or 0)
        return replace(stopped, stop_ns=stopped.tree_ended_ns)

    @property
    def sections(self) -> list[str]:
        """The sections that are being measured."""
        return [s for s in SECTIONS if self.arming is not None and s in self.arming.hooks]
