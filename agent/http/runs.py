"""The routes to runs that are kept for longer than the process."""

from typing import NoReturn, TypeVar

from quart import request
from quart.wrappers import Response

from agent.errors import AgentError
from agent.http import peers, query
from agent.http.access import Access
from agent.http.answers import Deleted, Kept, Runs
from agent.http.api import RecorderAPI, RunsAPI
from agent.http.query import RunsQuery
from agent.http.responses import json_response
from agent.http.route import JSON, TEXT, Route
from agent.model import RunsRequest
from agent.words import Json

T = TypeVar("T")

OF_A_STORE = ("no_store", "store_unavailable")
OF_A_RUN = ("no_such_run", "not_found", "forbidden_user", *OF_A_STORE)


class RunRoutes:
    """Handlers, one method per route, and their declarations."""

    def __init__(self, runs: RunsAPI | None, recorder: RecorderAPI, access: Access) -> None:
        self._runs: RunsAPI = runs or _NoRuns()
        self._recorder = recorder
        self._access = access
        self.declared = (
            Route(
                *("GET", "/runs", self.page),
                summary="List the runs that are kept, the newest first.",
                query=RunsQuery,
                answers={JSON: Runs},
                errors=("invalid_field", *OF_A_STORE),
            ),
            Route(
                *("GET", "/runs/<run_id>", self.run),
                summary="Return what is kept of one run.",
                answers={JSON: Kept},
                errors=OF_A_RUN,
            ),
            Route(
                *("DELETE", "/runs/<run_id>", self.delete),
                summary="Delete what is kept of one run that has ended.",
                answers={JSON: Deleted},
                errors=("token_needed", "run_in_progress", "part_of_a_series", *OF_A_RUN),
            ),
            Route(
                *("GET", "/runs/<run_id>/hlog", self.hlog),
                summary="Return the distributions of one run as an HdrHistogram log.",
                answers={TEXT: str},
                errors=OF_A_RUN,
            ),
        )

    async def page(self) -> Response:
        wanted = query.parse(request.args.items(multi=True), RunsQuery)
        return json_response(await self._runs.page(wanted.request(peers.owner())))

    async def run(self, run_id: str) -> Response:
        found = await self._runs.evidence(run_id, peers.owner())
        return json_response(_found(found))

    async def delete(self, run_id: str) -> Response:
        if peers.peer() is None:
            self._access.check_deletion()
        if self._recorder.status().get("run_id") == run_id:
            raise AgentError(
                f"run {run_id} is in progress: POST /stop first", code="run_in_progress"
            )
        _found(await self._runs.delete(run_id, peers.owner()) or None)
        return json_response({"status": "deleted", "run_id": run_id})

    async def hlog(self, run_id: str) -> Response:
        found = await self._runs.hlog(run_id, peers.owner())
        return Response(_found(found), content_type=TEXT)


class _NoRuns:
    """The runs of an agent without a store."""

    async def page(self, wanted: RunsRequest) -> Json:
        _refuse()

    async def evidence(self, run_id: str, owner: int | None) -> Json | None:
        _refuse()

    async def delete(self, run_id: str, owner: int | None) -> bool:
        _refuse()

    async def hlog(self, run_id: str, owner: int | None) -> str | None:
        _refuse()


def _refuse() -> NoReturn:
    raise AgentError(
        "this agent keeps no runs beyond the last ones (GET /evidence); start it with --data-dir "
        "DIR, as root with --user USER too, and it keeps each of them",
        code="no_store",
    )


def _found(found: T | None) -> T:
    if found is None:
        raise AgentError("no run of this id is kept", code="no_such_run")
    return found
