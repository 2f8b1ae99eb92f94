"""Request bodies: reading them within limits, and taking JSON objects from them."""

import codecs

import trio
from quart.wrappers import Request

from agent import json_text
from agent.errors import AgentError
from agent.http.settings import HttpSettings

DRAIN_LIMIT = 16 * 1024 * 1024
"""How much of an oversized body is read and discarded before the answer. If we close while the
client is still sending, its kernel drops the answer (RST), and it never sees the 413."""

PAUSE_S = 0.5
"""A client that has sent nothing of an oversized body for this long is taken to be waiting for the
answer: it may have sent the headers only."""

FORM = "application/x-www-form-urlencoded"


async def read_body(request: Request, settings: HttpSettings) -> bytes:
    """Return the whole body. Raises `AgentError` (``body_too_large``, ``body_timeout``).

    The body is read for every route, even for those that take none: an answer sent while the
    client is still sending can be lost; see `DRAIN_LIMIT`.
    """
    body = bytearray()
    received = 0
    too_large = (request.content_length or 0) > settings.max_body
    with trio.move_on_after(settings.body_timeout) as patience:
        end = patience.deadline
        if too_large:
            patience.deadline = min(end, trio.current_time() + PAUSE_S)
        async for chunk in request.body:
            received += len(chunk)
            too_large = too_large or received > settings.max_body
            if not too_large:
                body += chunk
            elif received > DRAIN_LIMIT:
                break
            else:
                patience.deadline = min(end, trio.current_time() + PAUSE_S)
    if too_large:
        raise AgentError(
            f"the body is larger than {settings.max_body} bytes", code="body_too_large"
        )
    if patience.cancelled_caught:
        raise AgentError(
            f"the body did not arrive within {settings.body_timeout:g} s", code="body_timeout"
        )
    return bytes(body)


def parse_object(body: bytes, content_type: str | None) -> dict[str, object]:
    """Return the JSON object in ``body``; no body is the same as ``{}``.

    ``curl -d`` labels whatever it sends as a form. That is accepted where the body is an object in
    JSON, because no form can produce one: a browser escapes braces in what it sends with this type.
    Scripts of other sites can send it, which `agent.http.guard` refuses. Every other Content-Type
    is refused even without a body: a form can have it, and a form is the one kind of POST that
    needs no permission from the server.

    Raises `AgentError`: ``unsupported_media_type``, ``invalid_json``, ``not_an_object``. NaN,
    infinities and numbers of any size are accepted here, so that validation can name their field.
    """
    if not _is_json(body, content_type):
        raise AgentError(_how_to_send(body, content_type), code="unsupported_media_type")
    try:
        value = json_text.parse(body) if body.strip() else {}
    except json_text.NotJson as error:
        raise AgentError(f"the body {error}", code="invalid_json") from None
    if not isinstance(value, dict):
        raise AgentError("the body must be a JSON object", code="not_an_object")
    return value


def _how_to_send(body: bytes, content_type: str | None) -> str:
    """Say what to send in place of a body that is not to be read as JSON."""
    omit = "omit both body and Content-Type"
    is_form = _media_type(content_type) == FORM
    if is_form and not body.strip():
        return f"the body is empty; send a JSON object, at least {{}}, or {omit}"
    wrong = "the body is not a JSON object; " if is_form else ""
    return f"{wrong}send JSON with Content-Type: application/json (or {omit})"


def _media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _is_json(body: bytes, content_type: str | None) -> bool:
    """Return whether a body is to be read as JSON; an empty one may have no type."""
    if content_type is None:
        return not body.strip()
    media_type = _media_type(content_type)
    if media_type == FORM:
        return body.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{")
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
