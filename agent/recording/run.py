"""One run from its start to its evidence. Data only: the recorder changes it."""

import time
import uuid
from datetime import UTC, datetime

import trio

from agent.aggregate.series import LabelSet
from agent.errors import InvalidRequest
from agent.evidence.checks import Check
from agent.evidence.collection import Collection
from agent.evidence.cost import CpuMeter
from agent.evidence.stalls import StallMeter
from agent.model import SECTIONS, Json, StartRequest
from agent.streams.collect.observed import Arming
from agent.streams.shared.causes import CannotCollect


class Run:
    """What was asked for, what came of it so far, and who is to be told."""

    def __init__(self, request: StartRequest, machine: str) -> None:
        self.id = str(uuid.uuid4())
        self.request = request
        self.scoped = request.scope.kind != "system"
        self.label_set = LabelSet.of(request.labels, machine)
        self.collection = Collection(self.scoped)
        self.arming: Arming | None = None
        self.failure: CannotCollect | None = None
        """Why nothing can be measured; the run goes on without."""
        self.refusal: InvalidRequest | None = None
        """Why it never began."""
        self.meter = CpuMeter({})
        self.stalls = StallMeter()
        self.checks: list[Check] = []
        self.started_at = datetime.now(UTC)
        self.started_ns = time.monotonic_ns()
        self.armed = trio.Event()
        self.finished = trio.Event()
        self.evidence: Json = {}

    @property
    def sections(self) -> list[str]:
        """The sections that are being measured."""
        return [s for s in SECTIONS if self.arming is not None and s in self.arming.hooks]
