"""Native histograms in real Prometheus servers: quantiles, no false resets, sums of agents."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from fakes.http_server import RunningServer, running_server
from fakes.prometheus_server import (
    NATIVE,
    after_another_scrape,
    prometheus,
    prometheus_of_debian_13,
    query,
    until_there,
    value,
)
from fakes.totals import run_totals

from agent.aggregate.histogram import SUMMARY_QUANTILES, LatencyHistogram
from agent.aggregate.series import LabelSet

NAME = "chainbench_runqlat_microseconds"
LABELS = LabelSet("baseline", "python", "numpy", "c0ffee", "bench-7", "d00d")
QUANTILES = tuple(SUMMARY_QUANTILES.values())
BOUND = 0.025
"""A bucket is 2.19 % wide, and the middle of a slot is 0.05 % off."""


@pytest.fixture(params=["debian 12", "debian 13"])
def program(request: pytest.FixtureRequest, tool: Callable[[str], str]) -> str:
    return tool("prometheus") if request.param == "debian 12" else prometheus_of_debian_13()


def latencies(seed: int, count: int = 20_000) -> LatencyHistogram:
    """Return latencies as a run has them: some 100 ns to some milliseconds, and a tail."""
    histogram = LatencyHistogram()
    drawn = np.random.default_rng(seed).lognormal(8.5, 1.8, count)
    histogram.fold(np.minimum(drawn, 1e11).astype(np.uint64))
    return histogram


def show(server: RunningServer, histogram: LatencyHistogram, labels: LabelSet = LABELS) -> None:
    """Have a run in progress that has counted this."""
    totals = run_totals(histogram.totals())
    server.call(lambda: server.recorder.series.set_live(labels, totals))


def end_run(server: RunningServer, histogram: LatencyHistogram, labels: LabelSet = LABELS) -> None:
    totals = run_totals(histogram.totals())
    server.call(lambda: server.recorder.series.commit(labels, totals, "success"))


def comparable(histogram: LatencyHistogram) -> Iterator[tuple[float, float]]:
    """Yield quantiles whose neighbouring ranks lie in one bucket, and their values in µs."""
    for quantile in QUANTILES:
        rank = quantile * histogram.total_count
        ranks = (math.floor(rank), math.ceil(rank), math.floor(rank) + 1)
        shares = [min(1.0, place / histogram.total_count) for place in ranks]
        near = [ns / 1000 for ns in histogram.percentiles_ns(shares) if ns]
        if len({math.ceil(math.log2(us) * 32) for us in near}) == 1:
            (ns,) = histogram.percentiles_ns([quantile])
            assert ns is not None
            yield quantile, ns / 1000


@pytest.mark.thorough
def test_quantiles_are_those_of_the_agent(program: str, tmp_path: Path) -> None:
    histogram = latencies(seed=1)
    with running_server() as server, prometheus(program, server.port, tmp_path, *NATIVE) as address:
        end_run(server, histogram)
        until_there(address, NAME)
        expected = list(comparable(histogram))
        assert len(expected) >= 3
        for quantile, us in expected:
            found = value(address, f"histogram_quantile({quantile}, {NAME})")
            assert found == pytest.approx(us, rel=BOUND), quantile
        assert value(address, f"histogram_count({NAME})") == histogram.total_count
        assert value(address, f"histogram_sum({NAME})") == pytest.approx(histogram.sum_ns / 1000)
        assert value(address, "chainbench_runs_total{result='success'}") == 1


@pytest.mark.thorough
def test_the_start_of_a_run_is_no_reset(program: str, tmp_path: Path) -> None:
    """A false reset would add all that was counted before, many times what has happened since."""
    before, during = latencies(seed=2), latencies(seed=3, count=500)
    growth = f"histogram_count(increase({NAME}[5m]))"
    with running_server() as server:
        port = server.port
        with prometheus(program, port, tmp_path, *NATIVE) as address:
            end_run(server, before)
            after_another_scrape(address)
            show(server, LatencyHistogram())
            after_another_scrape(address)
            show(server, during)
            after_another_scrape(address)
            end_run(server, during)
            after_another_scrape(address)
            assert value(address, f"histogram_count({NAME})") == 20_500
            assert 0 < value(address, growth) < 20_000


@pytest.mark.thorough
def test_a_restart_is_a_reset_and_counts_once(program: str, tmp_path: Path) -> None:
    before, after = latencies(seed=4), latencies(seed=5, count=500)
    with ExitStack() as stack:
        with running_server() as first:
            port = first.port
            address = stack.enter_context(prometheus(program, port, tmp_path, *NATIVE))
            end_run(first, before)
            after_another_scrape(address)
        second = stack.enter_context(running_server(port=port))
        end_run(second, after)
        after_another_scrape(address)
        assert value(address, f"histogram_count({NAME})") == 500
        assert 0 < value(address, f"histogram_count(increase({NAME}[5m]))") < 20_000


@pytest.mark.thorough
def test_the_sum_over_agents_is_that_of_their_histograms(program: str, tmp_path: Path) -> None:
    machines = {f"bench-{seed}": latencies(seed, count=5_000 * seed) for seed in (1, 2, 3)}
    merged = LatencyHistogram()
    with ExitStack() as stack:
        servers = [stack.enter_context(running_server()) for _ in machines]
        ports = [server.port for server in servers]
        for server, (machine, histogram) in zip(servers, machines.items(), strict=True):
            end_run(server, histogram, LABELS._replace(machine=machine))
            merged.merge(histogram)
        address = stack.enter_context(prometheus(program, ports, tmp_path, *NATIVE))
        until_there(address, f"count({NAME}) == 3")
        for quantile, us in comparable(merged):
            found = value(address, f"histogram_quantile({quantile}, sum({NAME}))")
            assert found == pytest.approx(us, rel=BOUND), quantile


@pytest.mark.thorough
@pytest.mark.parametrize("histograms", ["classic", "both"])
def test_a_scraper_keeps_classic_histograms_if_it_wants(
    histograms: str, program: str, tmp_path: Path
) -> None:
    """Without the choice, servers before 2.45 drop the classic ones of a page with both."""
    with running_server() as server:
        job = {"params": {"histograms": [histograms]}}
        with prometheus(program, server.port, tmp_path, *NATIVE, job=job) as address:
            end_run(server, latencies(seed=6))
            until_there(address, "chainbench_runs_total")
            buckets = query(address, f'{NAME}_bucket{{le="1024.0"}}')
            assert bool(buckets) == (histograms == "classic")
            assert bool(query(address, NAME)) == (histograms == "both")


@pytest.mark.thorough
def test_a_server_that_reads_times_of_creation_sees_a_run_between_two_scrapes(
    tmp_path: Path,
) -> None:
    """Without them the counter is first seen with its final value, and does not increase."""
    feature = "--enable-feature=created-timestamp-zero-ingestion"
    growth = "increase(chainbench_exec_count_total[5m])"
    found = {}
    for name, options in (("without", ()), ("with", (feature,))):
        folder = tmp_path / name
        folder.mkdir()
        with running_server() as server:
            server.call(
                lambda server=server: server.recorder.series.commit(
                    LABELS, run_totals(exec_count=100), "success"
                )
            )
            program = prometheus_of_debian_13()
            with prometheus(program, server.port, folder, *options) as address:
                after_another_scrape(address)
                after_another_scrape(address)
                found[name] = value(address, growth)
    assert found["without"] == 0
    assert found["with"] > 50
