"""The run that tests of the recorder start, its verdict, and its series on /metrics."""

from typing import Any

from fakes.totals import Shown

from agent.aggregate.series import LabelSet
from agent.model import Labels, StartRequest
from agent.recording.recorder import Recorder
from agent.streams.shared.causes import CannotCollect

LABELS = Labels(scenario="baseline", impl="python")
REQUEST = StartRequest(LABELS)
SERIES = LabelSet.of(LABELS, "machine")

NO_PROBES = CannotCollect("CAP_BPF is missing", code="no_capability")


def waits(recorder: Recorder) -> int:
    """Return the number of run-queue waits that /metrics shows."""
    series = recorder.series.get(SERIES)
    shown = Shown(series).runqlat if series is not None else None
    return shown.count if shown is not None else 0


def verdict(evidence: dict[str, Any]) -> str:
    return str(evidence["completeness"]["verdict"])


async def one_run(recorder: Recorder) -> dict[str, Any]:
    await recorder.start(REQUEST)
    return await recorder.stop()
