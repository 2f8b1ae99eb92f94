"""Configurations that are runs of the agent: started before the workload, stopped after it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from agent.client.http_client import AgentRefused, AgentUnreachable
from agent.overhead.protocols import CannotMeasure, Missing
from agent.sections.probes import SECTIONS


class Client(Protocol):
    """The part of `AgentClient` that a run needs."""

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]: ...


class AgentRun:
    """A run of exactly ``sections``, with ``options`` added to the body of its ``/start``."""

    def __init__(
        self,
        name: str,
        label: str,
        agent: Client,
        sections: tuple[str, ...],
        options: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.label = label
        self._agent = agent
        self._sections = sections
        self._options = options
        self._reasons: dict[str, tuple[str, int]] = {}

    def check(self) -> Missing | None:
        """Return None: if the agent cannot collect, the evidence of the run says why."""
        return None

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Raises `CannotMeasure` if the run did not collect exactly what was requested: a section
        that was left out would look cheap."""
        try:
            self._agent.post("/start", {"sections": list(self._sections), **self._options})
        except (AgentRefused, AgentUnreachable) as error:
            raise CannotMeasure(str(error)) from error
        try:
            yield
        except BaseException:
            # what went wrong, or Ctrl-C, matters more than the evidence
            with suppress(CannotMeasure):
                self._stop()
            raise
        self._judge(self._stop())

    def remarks(self) -> tuple[str, ...]:
        """Return the reasons why runs were incomplete, each with the number of runs."""
        return tuple(f"{reason} (runs: {count})" for reason, count in self._reasons.values())

    def _stop(self) -> dict[str, Any]:
        try:
            return self._agent.post("/stop")
        except (AgentRefused, AgentUnreachable) as error:
            raise CannotMeasure(str(error)) from error

    def _judge(self, evidence: Mapping[str, Any]) -> None:
        if not evidence.get("available"):
            raise CannotMeasure(str(evidence.get("reason", "the agent collected nothing")))
        self._judge_sections(evidence)
        for option, wanted in self._options.items():
            found = evidence.get(option, evidence.get("manifest", {}).get(option))
            if not _is_in(wanted, found):
                raise CannotMeasure(f"requested {option} {wanted}, but evidence says {found}")
        completeness = evidence.get("completeness", {})
        if completeness.get("verdict") == "invalid":
            raise CannotMeasure(f"invalid run: {'; '.join(completeness.get('reasons', ()))}")
        for reason in completeness.get("reasons", ()):
            # Group equal reasons by what does not differ from run to run; quote the last one.
            kind = re.sub(r"\d+", "N", reason)
            _, count = self._reasons.get(kind, ("", 0))
            self._reasons[kind] = reason, count + 1

    def _judge_sections(self, evidence: Mapping[str, Any]) -> None:
        unavailable = evidence.get("unavailable", {})
        for section in SECTIONS:
            if section in self._sections and section not in evidence:
                raise CannotMeasure(f"{section}: {unavailable.get(section, 'not in evidence')}")
            if section not in self._sections and section in evidence:
                raise CannotMeasure(f"{section} was collected but not requested")


def _is_in(wanted: object, found: object) -> bool:
    """Return whether evidence has the requested value; an object may have additional fields.

    What was requested by true or false is an object that says whether it is available.
    """
    if isinstance(wanted, bool) and isinstance(found, Mapping):
        return wanted == found.get("available")
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return wanted.items() <= found.items()
    return wanted == found
