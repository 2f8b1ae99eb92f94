"""Two lines of the log for each run: that it began, and how it ended."""

import logging
from typing import TYPE_CHECKING

from agent.model import Labels
from agent.words import LABEL_NAMES, Json

if TYPE_CHECKING:
    from agent.recording.run import Run

LOGGER = logging.getLogger("agent.run")


def tell_of_start(run: "Run") -> None:
    """Log that a run has begun: of what, for whom, and what is measured."""
    labels = _labels(run.request.labels)
    fields = {
        "event": "run_started",
        "run_id": run.id,
        "scope": _scope(run),
        "armed": run.sections,
        **labels,
    }
    said = " ".join(f"{name}={value}" for name, value in labels.items())
    measured = ", ".join(run.sections) or "nothing"
    LOGGER.info(
        "run %s started%s: %s; measures %s",
        run.id,
        f" ({said})" if said else "",
        fields["scope"],
        measured,
        extra={"fields": fields},
    )


def tell_of_end(run: "Run") -> None:
    """Log that a run has ended, with its verdict."""
    whole = run.evidence["completeness"]
    seconds = round(run.evidence["duration_s"], 3)
    lost = sum(stream["lost"] for stream in whole["streams"].values())
    fields = {
        "event": "run_ended",
        "run_id": run.id,
        "ended_by": run.ended_by,
        "verdict": whole["verdict"],
        "seconds": seconds,
        "events": run.evidence.get("overhead", {}).get("events"),
        "lost": lost,
        **_labels(run.request.labels),
    }
    events = "" if fields["events"] is None else f", {fields['events']} events"
    LOGGER.info(
        "run %s ended: %s after %.3f s%s, %d lost",
        *(run.id, fields["verdict"], seconds, events, fields["lost"]),
        extra={"fields": fields},
    )


def _labels(labels: Labels) -> Json:
    """Return the labels that are not empty. They have no control characters (`agent.words`)."""
    return {name: value for name in LABEL_NAMES if (value := getattr(labels, name))}


def _scope(run: "Run") -> str:
    scope = run.request.scope
    if scope.kind == "system":
        return "the whole machine"
    if scope.kind == "cgroup":
        # a path from outside: no character of it may begin a line of its own
        return f"cgroup {scope.cgroup if scope.cgroup.isprintable() else repr(scope.cgroup)}"
    return f"pid {scope.pid}" if scope.pid else "the caller"
