"""What the tests of the recorder start, and where it shows on /metrics."""

from agent.aggregate.series import LabelSet
from agent.model import Labels, StartRequest
from agent.recording.recorder import Recorder
from agent.streams.shared.causes import CannotCollect

LABELS = Labels(scenario="baseline", impl="python")
REQUEST = StartRequest(LABELS)
SERIES = LabelSet.of(LABELS, "machine")

NO_PROBES = CannotCollect("no_capability", "CAP_BPF is missing")


def waits(recorder: Recorder) -> int:
    """Run-queue waits that /metrics shows."""
    series = recorder.series.get(SERIES)
    return series.runqlat.count if series is not None and series.runqlat is not None else 0
