"""The routes to kept runs: what may be asked for, and what is answered without a store."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fakes.recorder import EVIDENCE, FakeRecorder
from quart_trio.testing import TrioClient

from agent.http.access import Access, digest
from agent.http.app import create_app
from agent.http.settings import HttpSettings
from agent.model import RunsRequest
from agent.words import Json

RUN: Json = {**EVIDENCE, "run_id": "known", "state": "finished"}


class FakeRuns:
    """One kept run, and what was asked for."""

    def __init__(self) -> None:
        self.wanted: list[RunsRequest] = []
        self.deleted: list[tuple[str, int | None]] = []

    async def page(self, wanted: RunsRequest) -> Json:
        self.wanted.append(wanted)
        return {"runs": [], "next": None}

    async def evidence(self, run_id: str, owner: int | None) -> Json | None:
        return RUN if run_id == "known" else None

    async def delete(self, run_id: str, owner: int | None) -> bool:
        self.deleted.append((run_id, owner))
        return run_id == "known"

    async def hlog(self, run_id: str, owner: int | None) -> str | None:
        return "#[Histogram log format version 1.3]\n" if run_id == "known" else None


@pytest.fixture
def runs() -> FakeRuns:
    return FakeRuns()


@pytest.fixture
def keeping(recorder: FakeRecorder, runs: FakeRuns) -> TrioClient:
    client = create_app(recorder, HttpSettings(), runs).test_client()
    assert isinstance(client, TrioClient)
    return client


async def asked(client: TrioClient, target: str) -> tuple[int, Any]:
    answer = await client.get(target)
    return answer.status_code, await answer.get_json()


async def test_everything_is_listed_unless_something_is_asked_for(
    keeping: TrioClient, runs: FakeRuns
) -> None:
    assert await asked(keeping, "/runs") == (200, {"runs": [], "next": None})
    assert runs.wanted == [RunsRequest({})]


async def test_each_filter_arrives(keeping: TrioClient, runs: FakeRuns) -> None:
    target = (
        "/runs?scenario=baseline&commit=&verdict=none&state=partial&copies=false&limit=7"
        "&since=2026-03-01T10:00:00Z&until=2026-03-02&before=1772359872.25,12"
    )
    assert (await asked(keeping, target))[0] == 200
    assert runs.wanted == [
        RunsRequest(
            labels={"scenario": "baseline", "commit": ""},
            verdict="none",
            state="partial",
            since=datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp(),
            until=datetime(2026, 3, 2, tzinfo=UTC).timestamp(),
            copies=False,
            before=(1772359872.25, 12),
            limit=7,
        )
    ]


@pytest.mark.parametrize(
    ("target", "field", "says"),
    [
        ("limit=0", "limit", "a whole number from 1 to 1000, not 0"),
        ("limit=many", "limit", 'a whole number from 1 to 1000, not "many"'),
        ("verdict=fine", "verdict", "one of complete, degraded, invalid, none"),
        ("state=over", "state", "one of finished, partial, aborted"),
        ("since=yesterday", "since", 'a time such as 2026-11-26T09:30:00Z, not "yesterday"'),
        ("copies=1", "copies", 'true or false, not "1"'),
        ("before=x", "before", "what `next` was in an answer"),
        ("commit=a&commit=b", "commit", "given twice"),
        ("comit=a", "comit", "no parameter"),
        ("variant=%00", "variant", "control characters"),
    ],
)
async def test_a_filter_that_is_wrong_is_named(
    keeping: TrioClient, target: str, field: str, says: str
) -> None:
    status, answer = await asked(keeping, f"/runs?{target}")
    assert (status, answer["error"], answer["field"]) == (422, "invalid_field", field)
    assert says in answer["message"]


async def test_one_run_as_evidence_and_as_a_log(keeping: TrioClient) -> None:
    assert await asked(keeping, "/runs/known") == (200, RUN)
    log = await keeping.get("/runs/known/hlog")
    assert (log.status_code, log.content_type) == (200, "text/plain; charset=utf-8")
    assert (await log.get_data()).startswith(b"#[Histogram log format version 1.3]")
    for target in ("/runs/unknown", "/runs/unknown/hlog"):
        status, answer = await asked(keeping, target)
        assert (status, answer["error"]) == (404, "no_such_run")


@pytest.mark.parametrize("target", ["/runs", "/runs/known", "/runs/known/hlog"])
async def test_without_a_store_the_cure_is_named(client: TrioClient, target: str) -> None:
    status, answer = await asked(client, target)
    assert (status, answer["error"]) == (404, "no_store")
    assert "--data-dir" in answer["message"]


# --- deleting


TOKEN = "t" * 32
AS_ITS_HOLDER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def guarded(recorder: FakeRecorder, runs: FakeRuns) -> TrioClient:
    access = Access(digest(TOKEN), digest("r" * 32))
    client = create_app(recorder, HttpSettings(access=access), runs).test_client()
    assert isinstance(client, TrioClient)
    return client


async def test_who_has_the_token_may_delete(guarded: TrioClient, runs: FakeRuns) -> None:
    answer = await guarded.delete("/runs/known", headers=AS_ITS_HOLDER)
    assert (answer.status_code, await answer.get_json()) == (
        200,
        {"status": "deleted", "run_id": "known"},
    )
    answer = await guarded.delete("/runs/unknown", headers=AS_ITS_HOLDER)
    assert (answer.status_code, (await answer.get_json())["error"]) == (404, "no_such_run")
    assert runs.deleted == [("known", None), ("unknown", None)]


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        ("", 401, "unauthorized"),
        ("x" * 32, 401, "unauthorized"),
        ("r" * 32, 403, "read_only_token"),
    ],
)
async def test_nobody_else_may(
    guarded: TrioClient, runs: FakeRuns, token: str, status: int, code: str
) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = await guarded.delete("/runs/known", headers=headers)
    assert (answer.status_code, (await answer.get_json())["error"]) == (status, code)
    assert runs.deleted == []


@pytest.mark.parametrize("exposed", [False, True])
async def test_where_no_token_is_required_nothing_is_deleted_over_tcp(
    recorder: FakeRecorder, runs: FakeRuns, exposed: bool
) -> None:
    settings = HttpSettings(access=Access(exposed=exposed))
    client = create_app(recorder, settings, runs).test_client()
    answer = await client.delete("/runs/known", headers=AS_ITS_HOLDER)
    assert (answer.status_code, (await answer.get_json())["error"]) == (403, "token_needed")
    assert runs.deleted == []


async def test_a_run_in_progress_is_not_deleted(
    guarded: TrioClient, recorder: FakeRecorder, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = {**recorder.status(), "run_id": "known"}
    monkeypatch.setattr(recorder, "status", lambda: status)
    answer = await guarded.delete("/runs/known", headers=AS_ITS_HOLDER)
    assert (answer.status_code, (await answer.get_json())["error"]) == (409, "run_in_progress")
    assert runs.deleted == []
