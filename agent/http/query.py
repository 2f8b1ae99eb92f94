"""What may follow the ``?`` of ``GET /runs``, declared as the bodies of requests are."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta

from agent.errors import InvalidRequest
from agent.http import validation
from agent.http.protobuf_format import Histograms
from agent.http.requests import Declared, field, label, one_of
from agent.model import KeptState, RunsRequest
from agent.words import LABEL_NAMES, VERDICTS

STATES = get_args(KeptState)
MOST = 1000
PLACE = r"^-?[0-9]{1,15}(\.[0-9]{1,9})?,[0-9]{1,18}$"
A_TIME = "a time such as 2026-11-26T09:30:00Z"
A_PLACE = "what `next` was in an answer"

D = TypeVar("D", bound=Declared)


def _time(description: str) -> Meta:
    return field(A_TIME, description, extra_json_schema={"format": "date-time"})


class RunsQuery(Declared, frozen=True, kw_only=True):
    """Which runs to list. Each is optional; a label that is given empty is one that is empty."""

    scenario: Annotated[str, label("Runs with this scenario.")] | None = None
    impl: Annotated[str, label("Runs with this implementation.")] | None = None
    variant: Annotated[str, label("Runs with this variant.")] | None = None
    commit: (
        Annotated[str, label("Runs of this commit; the beginning of its id is enough.")] | None
    ) = None
    dataset: Annotated[str, label("Runs with this data set.")] | None = None
    machine: Annotated[str, label("Runs on this machine.")] | None = None
    verdict: (
        Annotated[
            Literal["complete", "degraded", "invalid", "none"],
            one_of((*VERDICTS, "none"), "Runs with this verdict; none: nothing was measured."),
        ]
        | None
    ) = None
    state: Annotated[KeptState, one_of(STATES, "Runs in this state.")] | None = None
    since: Annotated[str, _time("Runs that began then or later.")] | None = None
    until: Annotated[str, _time("Runs that began earlier.")] | None = None
    copies: Annotated[
        bool, field("true or false", "Whether to list runs that their clients keep too.")
    ] = True
    limit: Annotated[
        int, field(f"a whole number from 1 to {MOST}", "How many at most.", ge=1, le=MOST)
    ] = 50
    before: (
        Annotated[
            str, field(A_PLACE, "Where the next page begins: `next` of this one.", pattern=PLACE)
        ]
        | None
    ) = None

    def request(self, owner: int | None) -> RunsRequest:
        """Return what is asked for. Raises `InvalidRequest`."""
        labels = {name: getattr(self, name) for name in (*LABEL_NAMES, "machine")}
        return RunsRequest(
            labels={name: value for name, value in labels.items() if value is not None},
            verdict=self.verdict,
            state=self.state,
            since=_seconds("since", self.since),
            until=_seconds("until", self.until),
            copies=self.copies,
            before=_place(self.before),
            limit=self.limit,
            owner=owner,
        )


class MetricsQuery(Declared, frozen=True, kw_only=True):
    """Which histograms a page has; those in text have the classic ones in any case."""

    histograms: Annotated[
        Histograms,
        one_of(
            get_args(Histograms),
            "Whether a page in Protocol Buffers has classic or native histograms, or both.",
        ),
    ] = "both"


def parse(given: Iterable[tuple[str, str]], declared: type[D]) -> D:
    """Return a query as its declaration has it.

    Raises `InvalidRequest` for what is wrong, unknown or given twice: a filter that is not applied
    would pass for one that is.
    """
    fields = {known.name: known for known in msgspec.structs.fields(declared)}
    values: dict[str, object] = {}
    for name, text in given:
        if name not in fields:
            known = ", ".join(fields)
            shown = validation.shown(name)
            raise InvalidRequest(f"there is no parameter {shown}; they are {known}", field=name)
        if name in values:
            raise InvalidRequest(f"{name} is given twice", field=name)
        values[name] = _converted(text, fields[name].default)
    return validation.parse(values, declared)


def _converted(text: str, default: object) -> object:
    """Return a text as the number or the truth value that it stands for, if one is wanted."""
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text, text)
    if isinstance(default, int) and re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII):
        return int(text)
    return text


def _seconds(name: str, text: str | None) -> float | None:
    """Return a time in seconds since 1970; without a zone it is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        shown = validation.shown(text)
        raise InvalidRequest(f"{name} must be {A_TIME}, not {shown}", field=name) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _place(text: str | None) -> tuple[float, int] | None:
    if text is None:
        return None
    at, _, number = text.partition(",")
    return float(at), int(number)
