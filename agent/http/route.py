"""A route, declared: what the server registers, and what ``/openapi.json`` says of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from quart.wrappers import Response

from agent.http.requests import Declared

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Route:
    """``handler`` takes the parameters that ``path`` has, as in ``/evidence/<run_id>``."""

    method: str
    path: str
    handler: Callable[..., Awaitable[Response]]
    summary: str
    answers: Mapping[str, Any]
    """The type of a successful answer, by media type."""

    body: type[Declared] | None = None
    """The declaration of the request's body; None if it takes none."""

    query: type[Declared] | None = None
    """The declaration of what may follow ``?`` in the target; None if nothing may."""

    is_open: bool = False
    """Whether it is answered without a token too."""

    errors: tuple[str, ...] = ()
    """Codes of errors, besides those that every route has and those of a body."""
