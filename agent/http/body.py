"""Request bodies: reading them within limits, and parsing them as JSON objects."""

import json

import trio
from quart.wrappers import Request

from agent.errors import AgentError
from agent.http.settings import HttpSettings

DRAIN_LIMIT = 16 * 1024 * 1024
"""How much of an oversized body is read and discarded before the answer. If we close while the
client is still sending, its kernel drops the answer (RST), and it never sees the 413."""


async def read_body(request: Request, settings: HttpSettings) -> bytes:
    """Return the whole body. Raises `AgentError` (``body_too_large``, ``body_timeout``).

    The body is read for every route, even for those that take none: an answer sent while the
    client is still sending can be lost; see `DRAIN_LIMIT`.
    """
    with trio.move_on_after(settings.body_timeout):
        return await _read_all(request, settings.max_body)
    raise AgentError(
        f"the body did not arrive within {settings.body_timeout:g} s", code="body_timeout"
    )


async def _read_all(request: Request, max_body: int) -> bytes:
    body = bytearray()
    received = 0
    async for chunk in request.body:
        received += len(chunk)
        if received <= max_body:
            body += chunk
        elif received > DRAIN_LIMIT:
            break
    if received > max_body:
        raise AgentError(f"the body is larger than {max_body} bytes", code="body_too_large")
    return bytes(body)


def parse_object(body: bytes, content_type: str | None) -> dict[str, object]:
    """Return the JSON object in ``body``; no body is the same as ``{}``.

    A Content-Type that is not JSON is refused even without a body: a web page's form sends
    one, and a form is the one kind of POST that needs no permission from the server.

    Raises `AgentError`: ``unsupported_media_type``, ``invalid_json``, ``not_an_object``.
    NaN and infinities are accepted here, so that validation can name the field they are in.
    """
    if content_type is not None:
        _check_media_type(content_type)
    if not body.strip():
        return {}
    if content_type is None:
        raise AgentError(
            "send the body with Content-Type: application/json", code="unsupported_media_type"
        )
    value = _parse(body)
    if not isinstance(value, dict):
        raise AgentError("the body must be a JSON object", code="not_an_object")
    return value


def _check_media_type(content_type: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/json":
        return
    if media_type.startswith("application/") and media_type.endswith("+json"):
        return
    raise AgentError(
        "send JSON with Content-Type: application/json (or omit both body and Content-Type)",
        code="unsupported_media_type",
    )


def _parse(body: bytes) -> object:
    try:
        return json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise AgentError(f"the body is not UTF-8: {error.reason}", code="invalid_json") from None
    except RecursionError:
        raise AgentError("the body is nested too deeply", code="invalid_json") from None
    except ValueError as error:
        raise AgentError(f"the body is not JSON: {error}", code="invalid_json") from None
