"""The contract's routes and the additional ones."""

from dataclasses import replace
from ipaddress import ip_address

from quart import g, request
from quart.wrappers import Response
from quart_trio import QuartTrio

from agent.errors import AgentError, InvalidRequest
from agent.http import validation
from agent.http.api import RecorderAPI
from agent.http.body import parse_object
from agent.http.negotiation import choose_format
from agent.http.responses import json_response
from agent.http.scrape import SharedScrape
from agent.model import Json, Scope


class Routes:
    """Handlers, one method per route. A client that disconnects cancels its handler, so once the
    recorder has answered, no handler does anything except answer."""

    def __init__(self, recorder: RecorderAPI) -> None:
        self._recorder = recorder
        self._scrape = SharedScrape(recorder)

    def add_to(self, app: QuartTrio) -> None:
        for method, path, handler in (
            ("POST", "/start", self.start),
            ("POST", "/stop", self.stop),
            ("GET", "/status", self.status),
            ("POST", "/report", self.report),
            ("GET", "/metrics", self.metrics),
            ("GET", "/evidence", self.last_evidence),
            ("GET", "/evidence/<run_id>", self.evidence),
        ):
            # Quart's automatic OPTIONS would answer a browser's preflight with 200.
            app.add_url_rule(
                path, view_func=handler, methods=[method], provide_automatic_options=False
            )

    async def start(self) -> Response:
        body = _json_body()
        start = validation.parse_start(body)
        if start.scope.kind == "caller":
            start = replace(start, scope=_caller())
        answer = await self._recorder.start(start)
        return _with_ignored(answer, validation.ignored(body, validation.START_FIELDS))

    async def stop(self) -> Response:
        _json_body()
        return json_response(await self._recorder.stop())

    async def status(self) -> Response:
        return json_response(self._recorder.status())

    async def report(self) -> Response:
        body = _json_body()
        self._recorder.report(validation.parse_report(body))
        names = validation.ignored(body, validation.REPORT_FIELDS)
        return _with_ignored({"status": "metrics_reported"}, names)

    async def metrics(self) -> Response:
        page_format = choose_format(request.headers.get("Accept", ""))
        page = await self._scrape.page(page_format)
        return Response(page, content_type=page_format.value, headers={"Vary": "Accept"})

    async def last_evidence(self) -> Response:
        evidence = self._recorder.last_evidence()
        if evidence is None:
            raise AgentError("no run has ended yet", code="no_such_run")
        return json_response(evidence)

    async def evidence(self, run_id: str) -> Response:
        evidence = self._recorder.evidence(run_id)
        if evidence is None:
            raise AgentError("no evidence is kept for this run id", code="no_such_run")
        return json_response(evidence)


def _json_body() -> dict[str, object]:
    return parse_object(g.body, request.headers.get("Content-Type"))


def _caller() -> Scope:
    """Return the scope of this request's connection; its other end must be on this machine."""
    client, server = request.scope.get("client"), request.scope.get("server")
    if not client or not server or not ip_address(client[0]).is_loopback:
        raise InvalidRequest(
            'a scope of "caller" works only over the loopback interface; '
            'otherwise use {"pid": N} or {"cgroup": "/path"}',
            code="caller_not_local",
            field="scope",
        )
    return Scope("caller", client=(client[0], client[1]), server=(server[0], server[1] or 0))


def _with_ignored(answer: Json, names: list[str]) -> Response:
    return json_response({**answer, "ignored": names} if names else answer)
