"""The interface between the recorder and what keeps runs for longer than this process lives."""

from typing import Protocol

from agent.model import KeptState, StartRequest
from agent.words import Json


class Keeper(Protocol):
    """Takes runs, each again and again under its ``run_id`` until it has ended."""

    async def keep(self, evidence: Json, state: KeptState, request: StartRequest) -> None:
        """Have a run stored. Raises nothing, and does not wait for a store that is stuck.

        Whatever happens to the store, the run and its evidence go on: what cannot be stored is
        logged and shown in the status.
        """

    def status(self) -> Json:
        """Return the state of the store, for /status and /metrics."""


class NoKeeper:
    """What an agent without a store has."""

    async def keep(self, evidence: Json, state: KeptState, request: StartRequest) -> None:
        """Do nothing."""

    def status(self) -> Json:
        return {"state": "off", "reason": None, "waiting": 0, "lost": 0}
