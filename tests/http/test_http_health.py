"""Liveness and readiness: for service managers and load balancers, which have no token."""

from typing import Any

import pytest
from fakes.recorder import FakeRecorder
from quart_trio.testing import TrioClient

from agent.http.access import Access, digest
from agent.http.app import create_app
from agent.http.settings import HttpSettings

GUARDED = HttpSettings(access=Access(digest("t" * 32), exposed=True))


async def asked(client: TrioClient, path: str, **options: Any) -> tuple[int, Any]:
    answer = await client.get(path, **options)
    return answer.status_code, await answer.get_json()


@pytest.mark.parametrize("settings", [HttpSettings(), GUARDED], ids=["open", "token"])
async def test_it_lives_and_is_ready(recorder: FakeRecorder, settings: HttpSettings) -> None:
    client = create_app(recorder, settings).test_client()
    assert isinstance(client, TrioClient)
    assert await asked(client, "/healthz") == (200, {"status": "ok"})
    assert await asked(client, "/readyz") == (200, {"status": "ready"})
    assert (await client.head("/readyz")).status_code == 200


async def test_whatever_keeps_a_run_from_beginning_is_named(recorder: FakeRecorder) -> None:
    client = create_app(recorder, HttpSettings()).test_client()
    assert isinstance(client, TrioClient)
    recorder.not_ready = "the programs are being loaded"
    status, answer = await asked(client, "/readyz")
    assert (status, answer["error"]) == (503, "not_ready")
    assert "the programs are being loaded" in answer["message"]
    assert await asked(client, "/healthz") == (200, {"status": "ok"})


async def test_an_agent_that_ends_lives_and_is_not_ready(recorder: FakeRecorder) -> None:
    client = create_app(recorder, HttpSettings(), is_ending=lambda: True).test_client()
    assert isinstance(client, TrioClient)
    status, answer = await asked(client, "/readyz")
    assert (status, answer["error"]) == (503, "not_ready")
    assert "ending" in answer["message"]
    assert (await asked(client, "/healthz"))[0] == 200


async def test_other_sites_are_refused_there_too(recorder: FakeRecorder) -> None:
    client = create_app(recorder, GUARDED).test_client()
    assert isinstance(client, TrioClient)
    status, answer = await asked(client, "/readyz", headers={"Host": "rebound.example"})
    assert (status, answer["error"]) == (403, "forbidden_host")
