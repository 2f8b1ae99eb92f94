"""Say in the log that the agent itself got no CPU: evidence of such a run may have holes."""

import logging

from agent.words import LONGEST_USUAL_GAP_MS, Json

LOGGER = logging.getLogger("agent.recording.starvation")


def tell_of_starvation(evidence: Json) -> None:
    """Log that the agent got no CPU for much longer than the interval between two drains."""
    overhead = evidence["overhead"]
    gap_ms = overhead.get("longest_drain_gap_ms", 0)
    waited_ms = sum(p["run_delay_ms"] or 0 for p in overhead["processes"] if p["role"] == "agent")
    if gap_ms > LONGEST_USUAL_GAP_MS and waited_ms > gap_ms / 2:
        LOGGER.warning(
            "the agent was runnable for %.1f s of the run without getting a CPU, and did not read "
            "its buffer for %.1f s at a time; its session or cgroup needs more weight "
            "(CPUWeight= of a service; docs/explanation/full-buffers.md)",
            waited_ms / 1000,
            gap_ms / 1000,
        )
