"""The contract's routes and refusals, tested in-process: no socket, no Hypercorn."""

from typing import Any

import pytest
import trio
from fakes.in_process import FIGURES, JSON, LABELS, REPORT, ask
from fakes.recorder import EVIDENCE, FakeRecorder
from quart_trio.testing import TrioClient

from agent.http.requests import StartBody
from agent.model import Labels, Report, StartRequest

pytestmark = pytest.mark.trio


async def test_a_run_from_start_to_evidence(client: TrioClient, recorder: FakeRecorder) -> None:
    status, started = await ask(client, "POST", "/start", json=LABELS)
    assert (status, started) == (200, {"status": "started", "run_id": "run-1", "available": True})
    assert recorder.requests == [StartRequest(Labels(**LABELS))]

    status, running = await ask(client, "GET", "/status")
    access, deadline = running.pop("access"), running.pop("compile_deadline_s")
    own = {"running": True, "run_id": "run-1", "machine": "test-machine"}
    assert (status, running) == (200, {**own, **LABELS})
    assert access == {"mode": "loopback", "tls": False}
    assert deadline == 45

    status, evidence = await ask(client, "POST", "/stop")
    assert (status, evidence) == (200, {**EVIDENCE, "run_id": "run-1"})

    status, idle = await ask(client, "GET", "/status")
    assert (idle.pop("access"), idle.pop("compile_deadline_s")) == (access, deadline)
    assert idle == {**own, "running": False, "run_id": "", **dict.fromkeys(LABELS, "")}


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"json": {}},
        {"json": dict.fromkeys(StartBody.__struct_fields__)},
        {"headers": JSON},
        {"data": b" \n", "headers": JSON},
    ],
)
async def test_start_without_labels(
    client: TrioClient, recorder: FakeRecorder, kwargs: dict[str, Any]
) -> None:
    assert (await ask(client, "POST", "/start", **kwargs))[0] == 200
    assert recorder.requests == [StartRequest(Labels())]


async def test_start_during_a_run_names_that_run(client: TrioClient) -> None:
    await ask(client, "POST", "/start", json=LABELS)
    status, refused = await ask(client, "POST", "/start", json={"scenario": "other"})
    assert (status, refused["error"], refused["run_id"]) == (409, "run_in_progress", "run-1")
    assert refused["started_at"] == "2026-03-01T10:11:12.000+00:00"
    assert (await ask(client, "GET", "/status"))[1]["scenario"] == "baseline"


async def test_stop_without_a_run(client: TrioClient) -> None:
    status, refused = await ask(client, "POST", "/stop")
    assert (status, refused["error"]) == (409, "not_running")


async def test_a_stop_may_name_its_run(client: TrioClient, recorder: FakeRecorder) -> None:
    await ask(client, "POST", "/start")
    for other in ("run-2", ""):
        status, refused = await ask(client, "POST", "/stop", json={"run_id": other})
        assert (status, refused["error"]) == (404, "no_such_run")
        assert refused["message"].endswith("; run run-1, which is in progress, goes on")
    assert recorder.stops == 0
    for _ in range(2):
        status, evidence = await ask(client, "POST", "/stop", json={"run_id": "run-1"})
        assert (status, evidence["run_id"]) == (200, "run-1")
    assert recorder.stops == 1
    _, refused = await ask(client, "POST", "/stop", json={"run_id": "run-2"})
    assert refused["message"] == "no evidence is kept for this run id"


@pytest.mark.parametrize(
    ("body", "field"),
    [({"run_id": 1}, "run_id"), ({"run_id": None}, "run_id"), ("of a refusal", "error")],
)
async def test_a_script_whose_start_was_refused_ends_nobodys_run(
    client: TrioClient, recorder: FakeRecorder, body: Any, field: str
) -> None:
    await ask(client, "POST", "/start")
    if body == "of a refusal":
        _, body = await ask(client, "POST", "/start")
        assert body["run_id"] == "run-1"
    status, refused = await ask(client, "POST", "/stop", json=body)
    assert (status, refused["error"], refused["field"]) == (422, "invalid_field", field)
    if body == {"run_id": None}:
        said = "run_id must be a string, not null: if the start was refused, there is no run to end"
        assert refused["message"].startswith(said)
    assert recorder.stops == 0


@pytest.mark.parametrize("body", [{}, {"runid": "run-1"}])
async def test_a_stop_that_names_none_is_about_the_run_in_progress(
    client: TrioClient, body: dict[str, Any]
) -> None:
    await ask(client, "POST", "/start")
    _, evidence = await ask(client, "POST", "/stop", json=body)
    assert evidence["run_id"] == "run-1"
    assert evidence.get("ignored", []) == list(body)


async def test_the_answer_to_a_start_ends_its_run(client: TrioClient) -> None:
    _, started = await ask(client, "POST", "/start", json={"else": 1})
    status, evidence = await ask(client, "POST", "/stop", json=started)
    assert (status, evidence) == (200, {**EVIDENCE, "run_id": "run-1"})


async def test_one_of_many_starts_wins(client: TrioClient) -> None:
    statuses: list[int] = []

    async def start() -> None:
        statuses.append((await ask(client, "POST", "/start", json=LABELS))[0])

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(start)
    assert sorted(statuses) == [200] + [409] * 19


async def test_evidence_can_be_fetched_again(client: TrioClient) -> None:
    assert (await ask(client, "GET", "/evidence"))[0] == 404
    for _ in range(2):
        await ask(client, "POST", "/start")
        await ask(client, "POST", "/stop")
    assert (await ask(client, "GET", "/evidence"))[1]["run_id"] == "run-2"
    assert (await ask(client, "GET", "/evidence/run-1"))[1]["run_id"] == "run-1"
    status, refused = await ask(client, "GET", "/evidence/run-9")
    assert (status, refused["error"]) == (404, "no_such_run")


@pytest.mark.parametrize("counts", [{}, {"baseline_success": 5, "optimized_success": 0}])
async def test_report(client: TrioClient, recorder: FakeRecorder, counts: dict[str, int]) -> None:
    body = {**REPORT, **FIGURES, **counts}
    assert await ask(client, "POST", "/report", json=body) == (200, {"status": "metrics_reported"})
    assert recorder.reports == [Report(Labels(**REPORT), **FIGURES, **counts)]


async def test_unknown_routes_are_answered_with_the_known_ones(client: TrioClient) -> None:
    for path in ("/", "/metricz", "/start/", "/evidence/a/b"):
        status, refused = await ask(client, "GET", path)
        assert (status, refused["error"]) == (404, "not_found")
        for route in ("POST /start", "POST /stop", "GET /status", "POST /report"):
            assert route in refused["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/start", "POST"), ("OPTIONS", "/stop", "POST"), ("POST", "/status", "GET, HEAD")],
)
async def test_the_wrong_method(client: TrioClient, method: str, path: str, allowed: str) -> None:
    response = await client.open(path, method=method)
    assert (response.status_code, response.headers["Allow"]) == (405, allowed)
    assert (await response.get_json())["error"] == "method_not_allowed"


async def test_a_crash_is_json_too(
    client: TrioClient, recorder: FakeRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash() -> None:
        raise RuntimeError("the secret path of something")

    recorder.arming = crash
    status, failed = await ask(client, "POST", "/start")
    assert (status, failed["error"]) == (500, "internal_error")
    assert "secret" not in failed["message"]
    assert "the secret path" in caplog.text
