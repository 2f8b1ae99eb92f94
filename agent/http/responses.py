"""JSON answers, including errors: the libraries' own error pages are HTML or empty."""

import json
import logging
from http import HTTPStatus

from quart import request
from quart.wrappers import Response
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from agent.errors import AgentError, InvalidRequest, RunInProgress
from agent.words import CHALLENGE, Json

LOGGER = logging.getLogger("agent.http")

STATUS_BY_CODE = {
    "run_in_progress": HTTPStatus.CONFLICT,
    "not_running": HTTPStatus.CONFLICT,
    "invalid_field": HTTPStatus.UNPROCESSABLE_ENTITY,
    "missing_field": HTTPStatus.UNPROCESSABLE_ENTITY,
    "not_an_object": HTTPStatus.UNPROCESSABLE_ENTITY,
    "invalid_json": HTTPStatus.BAD_REQUEST,
    "body_timeout": HTTPStatus.REQUEST_TIMEOUT,
    "body_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unsupported_media_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "forbidden_host": HTTPStatus.FORBIDDEN,
    "forbidden_origin": HTTPStatus.FORBIDDEN,
    "forbidden_user": HTTPStatus.FORBIDDEN,
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "read_only_token": HTTPStatus.FORBIDDEN,
    "token_needed": HTTPStatus.FORBIDDEN,
    "part_of_a_series": HTTPStatus.CONFLICT,
    "not_found": HTTPStatus.NOT_FOUND,
    "no_such_run": HTTPStatus.NOT_FOUND,
    "no_store": HTTPStatus.NOT_FOUND,
    "store_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "not_ready": HTTPStatus.SERVICE_UNAVAILABLE,
    "internal_error": HTTPStatus.INTERNAL_SERVER_ERROR,
    # Sent by the protocol layer.
    "bad_request": HTTPStatus.BAD_REQUEST,
    "request_header_fields_too_large": HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "not_implemented": HTTPStatus.NOT_IMPLEMENTED,
}

LONGEST_QUOTED_PATH = 100


def encode(data: Json) -> bytes:
    """Return ``data`` as one line of ASCII JSON. Raises `ValueError` for NaN and infinities."""
    return (json.dumps(data, allow_nan=False) + "\n").encode("ascii")


def error_body(error: AgentError) -> Json:
    body: Json = {"error": error.code, "message": error.message}
    if error.field is not None:
        body["field"] = error.field
    if isinstance(error, RunInProgress):
        body |= {"run_id": error.run_id, "started_at": error.started_at}
    return body


def json_response(data: Json, status: int = HTTPStatus.OK) -> Response:
    return Response(encode(data), status=status, content_type="application/json")


def status_of(code: str, *, is_refusal: bool) -> HTTPStatus:
    """Return the status of an error; a refusal is the client's fault unless listed otherwise."""
    other = HTTPStatus.UNPROCESSABLE_ENTITY if is_refusal else HTTPStatus.INTERNAL_SERVER_ERROR
    return STATUS_BY_CODE.get(code, other)


def error_response(error: AgentError) -> Response:
    status = status_of(error.code, is_refusal=isinstance(error, InvalidRequest))
    response = json_response(error_body(error), status)
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = CHALLENGE
    return response


def register_error_handlers(app: QuartTrio) -> None:
    """Turn every failure inside ``app`` into a JSON object with ``error`` and ``message``."""

    async def refused(error: AgentError) -> Response:
        return error_response(error)

    async def not_found(_: NotFound) -> Response:
        known = sorted(_route_names(app))
        path = request.path[:LONGEST_QUOTED_PATH]
        message = f"no route {path}; the routes are: {', '.join(known)}"
        return error_response(AgentError(message, code="not_found"))

    async def method_not_allowed(error: MethodNotAllowed) -> Response:
        allowed = ", ".join(sorted(error.valid_methods or ()))
        message = f"{request.method} is not allowed here; use {allowed}"
        response = json_response({"error": "method_not_allowed", "message": message}, 405)
        response.headers["Allow"] = allowed
        return response

    async def http_error(error: HTTPException) -> Response:
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        code = status.name.lower()
        return json_response({"error": code, "message": status.phrase}, status)

    async def crashed(error: Exception) -> Response:
        LOGGER.error("%s %s failed", request.method, request.path, exc_info=error)
        message = f"the agent failed to answer ({type(error).__name__}); see its log"
        return error_response(AgentError(message))

    app.register_error_handler(AgentError, refused)
    app.register_error_handler(NotFound, not_found)
    app.register_error_handler(MethodNotAllowed, method_not_allowed)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, crashed)


def _route_names(app: QuartTrio) -> set[str]:
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
