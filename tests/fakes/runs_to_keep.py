"""Runs that a service keeps: whose they are, and their evidence."""

from typing import Any

from fakes.sample_evidence import evidence

from agent.model import StartRequest
from agent.words import Json

ANYBODY = StartRequest()


def evidence_of(number: int, **changes: Any) -> Json:
    """Return the evidence of a run with that number, which is also when it began, in seconds."""
    run_id = f"00000000-0000-4000-8000-{number:012}"
    at = f"2026-03-01T10:{number // 60:02}:{number % 60:02}.000+00:00"
    return evidence(run_id=run_id, started_at=at, **changes)
