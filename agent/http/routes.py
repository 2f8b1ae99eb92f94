"""The contract's routes and the additional ones."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from quart import g, request
from quart.wrappers import Response
from quart_trio import QuartTrio

from agent.errors import AgentError, InvalidRequest
from agent.http import peers, query, validation
from agent.http.answers import Evidence, Reported, Started, Status
from agent.http.api import RecorderAPI, RunsAPI
from agent.http.body import parse_object
from agent.http.health import HealthRoutes
from agent.http.host_names import is_loopback
from agent.http.negotiation import PageFormat, accepts_gzip, choose_format
from agent.http.openapi import document
from agent.http.query import MetricsQuery
from agent.http.requests import ReportBody, StartBody, StopBody
from agent.http.responses import json_response
from agent.http.route import JSON, Route
from agent.http.runs import RunRoutes
from agent.http.scrape import SharedScrape
from agent.http.settings import HttpSettings
from agent.model import Scope
from agent.words import Json

OF_A_SCOPE = (
    *("no_such_process", "process_not_shown", "scope_is_the_agent"),
    *("no_such_cgroup", "no_cgroup_v2", "caller_not_local", "caller_unknown", "forbidden_user"),
)
"""Codes of scopes that cannot be covered."""

OF_A_START = Started.__struct_fields__
"""What a stop may have in its body too, and what is not called ignored there."""


class Routes:
    """Handlers, one method per route, and their declarations. A client whose connection is reset
    cancels its handler, so once the recorder has answered, no handler does anything except answer.
    """

    def __init__(
        self,
        recorder: RecorderAPI,
        settings: HttpSettings,
        runs: RunsAPI | None,
        is_ending: Callable[[], bool],
    ) -> None:
        """``runs``: None if none are kept for longer than the process."""
        self._recorder = recorder
        self._settings = settings
        self._scrape = SharedScrape(recorder)
        self.declared = (
            Route(
                *("POST", "/start", self.start),
                summary="Begin a run; the answer comes once every probe that can be armed is.",
                body=StartBody,
                answers={JSON: Started},
                errors=("run_in_progress", *OF_A_SCOPE),
            ),
            Route(
                *("POST", "/stop", self.stop),
                summary="End the run and return its evidence.",
                body=StopBody,
                answers={JSON: Evidence},
                errors=("not_running", "no_such_run", "forbidden_user"),
            ),
            Route(
                *("GET", "/status", self.status),
                summary="Say what the agent is doing.",
                answers={JSON: Status},
            ),
            Route(
                *("POST", "/report", self.report),
                summary="Take a runner's own result, to be exported on /metrics.",
                body=ReportBody,
                answers={JSON: Reported},
                errors=("missing_field",),
            ),
            Route(
                *("GET", "/metrics", self.metrics),
                summary="Return the metrics, in the format that Accept prefers.",
                query=MetricsQuery,
                answers={page_format.media_type: str for page_format in PageFormat},
                errors=("forbidden_user", "invalid_field"),
            ),
            Route(
                *("GET", "/evidence", self.last_evidence),
                summary="Return the evidence of the most recent run that has ended.",
                answers={JSON: Evidence},
                errors=("no_such_run",),
            ),
            Route(
                *("GET", "/evidence/<run_id>", self.evidence),
                summary="Return the evidence of one run.",
                answers={JSON: Evidence},
                errors=("no_such_run", "not_found", "forbidden_user"),
            ),
            *HealthRoutes(recorder, is_ending).declared,
            *RunRoutes(runs, recorder, settings.access).declared,
            Route(
                *("GET", "/openapi.json", self.openapi),
                summary="Describe the routes, as OpenAPI.",
                answers={JSON: dict[str, Any]},
            ),
        )
        self._description = document(self.declared)

    def add_to(self, app: QuartTrio) -> None:
        for route in self.declared:
            # Quart's automatic OPTIONS would answer a browser's preflight with 200.
            app.add_url_rule(
                route.path,
                view_func=route.handler,
                methods=[route.method],
                provide_automatic_options=False,
            )

    async def start(self) -> Response:
        body = _json_body()
        start = validation.parse(body, StartBody).request()
        peers.check_scope(start.scope.kind)
        if start.scope.kind == "caller":
            start = replace(start, scope=_caller())
        start = replace(start, owner=peers.owner())
        answer = await self._recorder.start(start)
        return _with_ignored(answer, validation.ignored(body, StartBody))

    async def stop(self) -> Response:
        # Without a body its type says nothing: curl -d '' sends one, for example.
        body = _json_body() if g.body.strip() else {}
        run_id = validation.parse(body, StopBody).run_id
        if isinstance(run_id, str):
            found = await self._recorder.stop_run(run_id, peers.owner())
            if found is None:
                raise _no_such_run(self._recorder.status().get("run_id") or "")
            evidence = found
        else:
            evidence = await self._recorder.stop(peers.owner())
        names = validation.ignored(body, StopBody)
        return _with_ignored(evidence, [name for name in names if name not in OF_A_START])

    async def status(self) -> Response:
        return json_response(
            {
                **self._recorder.status(),
                "compile_deadline_s": self._settings.compile_deadline_s,
                "access": self._settings.access.status(),
            }
        )

    async def report(self) -> Response:
        body = _json_body()
        added = self._recorder.report(validation.parse(body, ReportBody).report())
        names = validation.ignored(body, ReportBody)
        return _with_ignored({"status": "metrics_reported", **added}, names)

    async def metrics(self) -> Response:
        peers.check_metrics()
        page_format = choose_format(request.headers.get("Accept", ""))
        compressed = accepts_gzip(request.headers.get("Accept-Encoding", ""))
        # others are ignored: a scraper may send parameters that mean something to its user only
        given = [("histograms", text) for text in request.args.getlist("histograms")]
        histograms = query.parse(given, MetricsQuery).histograms
        page = await self._scrape.page(page_format, histograms, compressed=compressed)
        headers = {"Vary": "Accept, Accept-Encoding"}
        if compressed:
            headers["Content-Encoding"] = "gzip"
        return Response(page, content_type=page_format.value, headers=headers)

    async def last_evidence(self) -> Response:
        evidence = self._recorder.last_evidence(peers.owner())
        if evidence is None:
            raise AgentError("no run has ended yet", code="no_such_run")
        return json_response(evidence)

    async def evidence(self, run_id: str) -> Response:
        return json_response(_of_run(self._recorder.evidence(run_id, peers.owner())))

    async def openapi(self) -> Response:
        return json_response(self._description)


def _of_run(evidence: Json | None) -> Json:
    if evidence is None:
        raise _no_such_run()
    return evidence


def _no_such_run(other: str = "") -> AgentError:
    """Return the error. ``other``: which run is in progress instead, if it matters."""
    goes_on = f"; run {other}, which is in progress, goes on" if other else ""
    return AgentError(f"no evidence is kept for this run id{goes_on}", code="no_such_run")


def _json_body() -> dict[str, object]:
    return parse_object(g.body, request.headers.get("Content-Type"))


def _caller() -> Scope:
    """Return the scope of this request's connection; its other end must be on this machine."""
    if (peer := peers.peer()) is not None:
        if peer.pid == 0:
            raise InvalidRequest(
                "the process that made this request is outside of the agent's pid namespace, and "
                "has no number in it; run the agent outside of that namespace",
                code="caller_unknown",
                field="scope",
            )
        return Scope("caller", pid=peer.pid)
    client, server = request.scope.get("client"), request.scope.get("server")
    if not client or not server or not is_loopback(client[0]):
        raise InvalidRequest(
            'a scope of "caller" works only over the loopback interface; '
            'otherwise use {"pid": N} or {"cgroup": "/path"}',
            code="caller_not_local",
            field="scope",
        )
    return Scope("caller", client=(client[0], client[1]), server=(server[0], server[1] or 0))


def _with_ignored(answer: Json, names: list[str]) -> Response:
    return json_response({**answer, "ignored": names} if names else answer)
