"""Whether the agent lives and can take a run, for whoever restarts it or sends it work.

No token is needed for that: a service manager or a load balancer has none, and learns nothing else.
"""

from collections.abc import Callable

from quart.wrappers import Response

from agent.errors import AgentError
from agent.http.answers import Health
from agent.http.api import RecorderAPI
from agent.http.responses import json_response
from agent.http.route import JSON, Route


class HealthRoutes:
    """Handlers, one method per route, and their declarations."""

    def __init__(self, recorder: RecorderAPI, is_ending: Callable[[], bool]) -> None:
        self._recorder = recorder
        self._is_ending = is_ending
        self.declared = (
            Route(
                *("GET", "/healthz", self.healthz),
                summary="Say that the agent lives: that it answers is all there is to it.",
                answers={JSON: Health},
                is_open=True,
            ),
            Route(
                *("GET", "/readyz", self.readyz),
                summary="Say whether the agent can take runs; also while one is in progress.",
                answers={JSON: Health},
                errors=("not_ready",),
                is_open=True,
            ),
        )

    async def healthz(self) -> Response:
        return json_response({"status": "ok"})

    async def readyz(self) -> Response:
        why = "the agent is ending" if self._is_ending() else self._recorder.why_not_ready()
        if why is not None:
            raise AgentError(f"no run can begin for now: {why}", code="not_ready")
        return json_response({"status": "ready"})
