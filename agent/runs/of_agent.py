"""The runs that an agent keeps (``serve --data-dir``), for ``runs`` and ``compare``."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from agent.client.http_client import AgentRefused, AgentUnreachable
from agent.store.documents import runs_of
from agent.store.errors import NotFound, StoreError
from agent.store.run import LABELS, SERVICE, KeptRun
from agent.store.selection import FEWEST, LAST
from agent.terminal.values import mapping, printable, rows

PAGE = 1000
EARLIEST, LATEST = -62135596800.0, 253402300799.0
"""The first and the last second that a date can be in, of the years 1 and 9999."""
FILTERS = (*LABELS, "verdict", "state")
"""What an agent selects runs by; it knows of no series, since each of its runs is one request."""


class Client(Protocol):
    """As much of `agent.client.http_client.AgentClient` as this needs."""

    def get(self, path: str) -> Mapping[str, Any]:
        """Return the JSON answer. Raises `AgentRefused` or `AgentUnreachable`."""

    def delete(self, path: str) -> Mapping[str, Any]:
        """Likewise."""


class CannotDelete(StoreError):
    """The agent refuses to delete one run; others may still be."""


class RunsOfAgent:
    """What an agent keeps. All methods raise `StoreError`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def named(self, name: str) -> Sequence[KeptRun]:
        """Return the run of an id, or of the beginning of one; ``last`` is the newest."""
        return [self._run(self.id_of(name))]

    def id_of(self, name: str) -> str:
        """Return the id of the same."""
        if found := LAST.fullmatch(name):
            return self._last(name, int(found[1] or 0))
        if len(name) < FEWEST:
            raise NotFound(
                f"{name!r} is too short for the beginning of an id ({FEWEST} characters)"
            )
        ids = [run_id for run_id in self._ids() if run_id.startswith(name)]
        if len(ids) != 1:
            what = f"of {len(ids)} ids: give more of it" if ids else "of no id that the agent keeps"
            raise NotFound(f"{name} is the beginning {what}")
        return ids[0]

    def selected(
        self, fields: Mapping[str, str], since: float | None = None, until: float | None = None
    ) -> Sequence[KeptRun]:
        """Return the runs with these labels, verdict or state, the oldest first."""
        return [self._run(run_id) for run_id in reversed(self.matching(fields, since, until))]

    def matching(
        self, fields: Mapping[str, str], since: float | None = None, until: float | None = None
    ) -> list[str]:
        """Return the ids of these runs, the newest first."""
        return [run_id for row in self.listed(fields, since, until) if (run_id := _id(row))]

    def delete(self, run_id: str) -> None:
        """Delete what is kept of a run. Raises `CannotDelete` if only this one is refused."""
        try:
            self._client.delete(_path(run_id))
        except AgentRefused as error:
            one = error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
            raise (CannotDelete if one else StoreError)(printable(error.message, 1000)) from error
        except AgentUnreachable as error:
            raise StoreError(printable(error, 1000)) from error

    def listed(
        self, fields: Mapping[str, str], since: float | None = None, until: float | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """Yield what the agent lists of these runs, the newest first, page by page.

        Times are in seconds since 1970, ``until`` excluded.
        """
        if unknown := [name for name in fields if name not in FILTERS]:
            known = ", ".join(FILTERS)
            raise NotFound(f"an agent does not select runs by {unknown[0]}; it does by {known}")
        limits = (("since", since), ("until", until))
        times = {name: _iso(at) for name, at in limits if at is not None}
        yield from self._pages({**fields, **times, "limit": str(PAGE)})

    def _pages(self, wanted: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of all pages. Raises `StoreError` for a page that leads back to one."""
        query, seen = dict(wanted), set[str]()
        while True:
            page = self._get(f"/runs?{urlencode(query)}")
            yield from rows(page.get("runs"))
            after = page.get("next")
            if not isinstance(after, str):
                return
            if after in seen:
                raise StoreError(
                    "the agent's list of runs leads back to where it was, so it has no end:"
                    " is this an agent's URL?"
                )
            seen.add(after)
            query["before"] = after

    def close(self) -> None:
        """Do nothing: each request has a connection of its own."""

    def _last(self, name: str, back: int) -> str:
        for place, run_id in enumerate(self._ids()):
            if place == back:
                return run_id
        raise NotFound(f"there is no {name}: the agent keeps fewer")

    def _ids(self) -> Iterator[str]:
        return filter(None, map(_id, self.listed({})))

    def _run(self, run_id: str) -> KeptRun:
        [run] = runs_of(self._get(_path(run_id)), SERVICE)
        return run

    def _get(self, path: str) -> Mapping[str, Any]:
        try:
            return mapping(self._client.get(path))
        except (AgentRefused, AgentUnreachable) as error:
            raise StoreError(printable(error, 1000)) from error


def _iso(at: float) -> str:
    """Return a time in words; one that no date can be is the nearest that can."""
    return datetime.fromtimestamp(min(max(at, EARLIEST), LATEST), UTC).isoformat(
        timespec="milliseconds"
    )


def _path(run_id: str) -> str:
    return f"/runs/{quote(run_id, safe='')}"


def _id(row: Mapping[str, Any]) -> str:
    return str(row.get("run_id", ""))
