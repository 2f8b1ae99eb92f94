"""``/openapi.json`` describes what the server does: held by many generated requests."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import requests
import trio
from fakes.busy_runs import Busy
from fakes.generated_requests import check_answers
from fakes.http_server import running_server
from fakes.sample_evidence import evidence as sample_evidence

from agent.aggregate.series import SeriesStore
from agent.keeping.keeper import StoreKeeper
from agent.keeping.reader import StoreReader
from agent.keeping.writer import Writer
from agent.model import EVIDENCE_SCHEMA
from agent.recording.recorder import Recorder
from agent.store.documents import runs_of
from agent.store.opening import open_store
from agent.store.place import FILE
from agent.store.run import SERVICE


@asynccontextmanager
async def recorder() -> AsyncIterator[Recorder]:
    """The agent's own recorder, above a collector without a kernel."""
    opened = Recorder(Busy(), "box", SeriesStore())
    async with trio.open_nursery() as nursery:
        await nursery.start(opened.run)
        yield opened
        nursery.cancel_scope.cancel()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two runs are kept."""
    path = tmp_path_factory.mktemp("kept") / FILE
    with open_store(path) as store:
        for commit in ("c1", "c2"):
            labels = {"commit": commit}
            evidence = sample_evidence(schema=EVIDENCE_SCHEMA, run_id=commit * 4, labels=labels)
            store.keep(runs_of(evidence, SERVICE))
    runs = StoreReader(path, StoreKeeper(Writer(path)))
    with running_server(open_recorder=recorder, runs=runs) as server:
        yield server.url


@pytest.mark.thorough
def test_no_request_gets_an_undeclared_answer(url: str, tmp_path: Path) -> None:
    assert check_answers(url, tmp_path, examples=20) > 200


@pytest.mark.thorough
def test_none_of_thousands_of_requests_gets_an_undeclared_answer(url: str, tmp_path: Path) -> None:
    assert check_answers(url, tmp_path, examples=1000) > 2000


def test_the_document_names_every_route_with_the_codes_of_its_errors(url: str) -> None:
    document = requests.get(f"{url}/openapi.json").json()
    assert {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    } == {
        *("POST /start", "POST /stop", "GET /status", "POST /report", "GET /metrics"),
        *("GET /evidence", "GET /evidence/{run_id}", "GET /openapi.json"),
        *("GET /runs", "GET /runs/{run_id}", "GET /runs/{run_id}/hlog"),
        "DELETE /runs/{run_id}",
        *("GET /healthz", "GET /readyz"),
    }
    start = document["paths"]["/start"]["post"]["responses"]
    listing = {p["name"]: p["schema"] for p in document["paths"]["/runs"]["get"]["parameters"]}
    assert listing["limit"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}
    assert listing["verdict"] == {"enum": ["complete", "degraded", "invalid", "none"]}
    assert start["409"]["description"] == "`run_in_progress`"
    assert "`no_such_cgroup`" in start["422"]["description"]
    assert "422" not in document["paths"]["/status"]["get"]["responses"]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_bounds_of_a_number_are_the_ones_that_are_declared(url: str, sign: int) -> None:
    """Declared and taken are whole numbers, so that no reader of the document rounds them."""
    document = requests.get(f"{url}/openapi.json").json()
    gain = document["components"]["schemas"]["ReportBody"]["properties"]["gain_pct"]
    bound = gain["maximum"] if sign > 0 else gain["minimum"]
    assert isinstance(bound, int)

    def status(number: int) -> int:
        figures = {"baseline_ms": 1, "optimized_ms": 1, "gain_pct": number}
        return requests.post(f"{url}/report", json=figures).status_code

    assert float(bound) == sign * sys.float_info.max
    assert [status(bound - sign), status(bound), status(bound + sign)] == [200, 200, 422]
