"""``/metrics`` over HTTP: freshness, storms, and a real Prometheus."""

import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import requests
import trio
from fakes.http_server import running_server
from fakes.prometheus_server import prometheus, query, until_there
from fakes.recorder import FakeRecorder
from fakes.shown_metrics import DELIMITED
from fakes.totals import run_totals

from agent.aggregate.series import LabelSet
from agent.aggregate.totals import LatencyTotals
from agent.http.negotiation import PageFormat
from agent.http.scrape import SharedScrape

LABELS = LabelSet("baseline", "python", 'num"py\\', "c0ffee", "bench-7", "d00d")
TOTALS = run_totals(
    runqlat=LatencyTotals((3, *[0] * 19, 2), 4_000_000.5, 5),
    offcpu_ms=1250.5,
    exec_count=12,
    syscalls={"futex": 7, "other": 1},
)


@pytest.fixture
async def recorder() -> AsyncIterator[FakeRecorder]:
    async with FakeRecorder.open() as recorder:
        yield recorder


def seen(page: bytes) -> bool:
    return b"\nchainbench_exec_count_total{" in page


async def test_a_scrape_shows_what_the_refresh_folded(recorder: FakeRecorder) -> None:
    async def fold() -> None:
        await trio.lowlevel.checkpoint()
        recorder.series.set_live(LABELS, TOTALS)

    recorder.refreshing = fold
    assert seen(await SharedScrape(recorder).page(PageFormat.TEXT))


async def test_scrapes_one_after_another_refresh_each(recorder: FakeRecorder) -> None:
    scrape = SharedScrape(recorder)
    assert not seen(await scrape.page(PageFormat.TEXT))
    recorder.series.set_live(LABELS, TOTALS)
    assert seen(await scrape.page(PageFormat.TEXT))
    assert recorder.refreshes == 2


async def test_a_storm_of_scrapes_shares_one_refresh(
    recorder: FakeRecorder, autojump_clock: trio.testing.MockClock
) -> None:
    pages: list[bytes] = []
    scrape = SharedScrape(recorder)

    async def fold() -> None:
        await trio.sleep(1)

    async def one(page_format: PageFormat) -> None:
        pages.append(await scrape.page(page_format))

    recorder.refreshing = fold
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(one, PageFormat.TEXT)
            nursery.start_soon(one, PageFormat.OPENMETRICS)
    assert recorder.refreshes == 1
    assert len(pages) == 100
    # The same objects, not just equal bytes, so each format was rendered once.
    assert len({id(page) for page in pages}) == 2


async def test_a_scraper_that_leaves_does_not_take_the_others_along(
    recorder: FakeRecorder, autojump_clock: trio.testing.MockClock
) -> None:
    scrape = SharedScrape(recorder)
    pages: list[bytes] = []

    async def fold() -> None:
        await trio.sleep(1)

    async def impatient() -> None:
        with trio.move_on_after(0.5):
            await scrape.page(PageFormat.TEXT)

    async def patient() -> None:
        await trio.sleep(0.1)
        pages.append(await scrape.page(PageFormat.TEXT))

    recorder.refreshing = fold
    async with trio.open_nursery() as nursery:
        nursery.start_soon(impatient)
        nursery.start_soon(patient)
    assert len(pages) == 1
    assert recorder.refreshes == 2


@pytest.mark.parametrize(
    ("accept", "page_format"),
    [
        ("*/*", PageFormat.TEXT),
        ("application/openmetrics-text", PageFormat.OPENMETRICS),
        ("application/openmetrics-text; version=abc", PageFormat.TEXT),
        (DELIMITED, PageFormat.PROTOBUF),
    ],
)
def test_the_format_is_negotiated(accept: str, page_format: PageFormat) -> None:
    with running_server() as server:
        answer = requests.get(f"{server.url}/metrics", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == page_format.value
    assert answer.headers["Vary"] == "Accept, Accept-Encoding"
    assert answer.content.endswith(b"# EOF\n") == (page_format is PageFormat.OPENMETRICS)


@pytest.mark.parametrize("accept", ["*/*", "application/openmetrics-text", DELIMITED])
def test_a_page_is_compressed_for_who_accepts_it(accept: str) -> None:
    with running_server() as server:
        server.call(lambda: server.recorder.series.commit(LABELS, TOTALS, "success"))
        plain, compressed = (
            requests.get(
                f"{server.url}/metrics",
                headers={"Accept": accept, "Accept-Encoding": encoding},
                stream=True,
            )
            for encoding in ("identity", "gzip")
        )
        page = plain.raw.read(decode_content=False)
        packed = compressed.raw.read(decode_content=False)
    assert "Content-Encoding" not in plain.headers
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert int(compressed.headers["Content-Length"]) == len(packed) < len(page)
    assert b"chainbench_exec_count" in page
    assert gzip.decompress(packed) == page


async def test_the_compressed_page_is_the_page(recorder: FakeRecorder) -> None:
    for number in range(300):
        labels = LABELS._replace(commit=f"{number:040x}")
        recorder.series.commit(labels, TOTALS, "success")
    scrape = SharedScrape(recorder)
    for page_format in PageFormat:
        pages: dict[bool, bytes] = {}

        async def one(
            page_format: PageFormat, compressed: bool, pages: dict[bool, bytes] = pages
        ) -> None:
            pages[compressed] = await scrape.page(page_format, compressed=compressed)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, page_format, True)
            nursery.start_soon(one, page_format, False)
        assert len(pages[False]) > 4 * 64 * 1024
        assert gzip.decompress(pages[True]) == pages[False]


def test_a_real_prometheus_keeps_names_and_values(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    program = tool("prometheus")
    with running_server() as server:
        server.call(lambda: server.recorder.series.commit(LABELS, TOTALS, "success"))
        with prometheus(program, server.port, tmp_path) as address:
            (offcpu,) = until_there(address, "chainbench_offcpu_milliseconds_total")
            expected = {**LABELS._asdict(), "__name__": "chainbench_offcpu_milliseconds_total"}
            assert expected.items() <= offcpu["metric"].items()
            assert float(offcpu["value"][1]) == 1250.5
            for promql, value in {
                "chainbench_exec_count_total": 12,
                'chainbench_syscall_count_total{syscall="other"}': 1,
                'chainbench_runs_total{result="success"}': 1,
                "chainbench_runqlat_microseconds_count": 5,
                "chainbench_runqlat_microseconds_sum": 4_000_000.5,
                'chainbench_runqlat_microseconds_bucket{le="1.0"}': 3,
                'chainbench_runqlat_microseconds_bucket{le="+Inf"}': 5,
                "histogram_quantile(0.5, chainbench_runqlat_microseconds_bucket)": 2.5 / 3,
                'up{job="agent"}': 1,
            }.items():
                (found,) = query(address, promql)
                assert float(found["value"][1]) == pytest.approx(value), promql
            metadata = requests.get(f"{address}/api/v1/metadata").json()["data"]
            assert metadata["chainbench_offcpu_milliseconds_total"][0]["type"] == "gauge"
