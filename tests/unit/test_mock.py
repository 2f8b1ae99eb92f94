"""``--mock``: synthetic events, through the agent's own reader, folds, checks and verdict."""

import pytest
import trio
from fakes.synthetic import one_run, synthetic
from fakes.totals import Shown

from agent.mock.machine import Machine
from agent.model import Labels, Scope, StartRequest
from agent.sections.probes import DEFAULT_SECTIONS, PROBES, SECTIONS
from agent.streams.shared.kernel_counts import KernelCounts
from agent.words import Json

CALLER = Scope("caller", client=("127.0.0.1", 1), server=("127.0.0.1", 2))


def measured(evidence: Json) -> Json:
    """Return what the events of a run determine."""
    return {name: evidence[name] for name in SECTIONS if name in evidence}


def count_between(section: Json, low_us: float, high_us: float) -> int:
    buckets = section["histogram"]
    return sum(b["count"] for b in buckets if low_us <= b["bucket_us"] < high_us)


def blocked_ms(evidence: Json, reason: str) -> float:
    [row] = [r for r in evidence["offcpu"]["top_reasons"] if r["reason"] == reason]
    return float(row["ms"])


@pytest.mark.parametrize("scope", [Scope(), CALLER], ids=["system", "caller"])
@pytest.mark.parametrize("timing", ["clock", "accounting"])
async def test_a_run_has_every_section_and_every_check_passes(
    autojump_clock: trio.abc.Clock, scope: Scope, timing: str
) -> None:
    async with synthetic() as recorder:
        evidence = await one_run(recorder, scope=scope, timing=timing)
    assert list(measured(evidence)) == list(SECTIONS)
    assert evidence["completeness"]["reasons"] == []
    assert evidence["completeness"]["verdict"] == "complete"
    assert len(evidence["checks"]) >= 10
    assert all(check["pass"] for check in evidence["checks"])
    assert evidence["duration_s"] == 3.0
    streams = evidence["completeness"]["streams"]
    own = {stream.name for probe in PROBES for stream in probe.streams}
    assert set(streams) == {*own, "exit", "offcpu"}
    assert [name for name, counts in streams.items() if counts["produced"] == 0] == []
    for counts in streams.values():
        assert counts["received"] == counts["produced"]


async def test_what_was_not_asked_for_is_absent(autojump_clock: trio.abc.Clock) -> None:
    async with synthetic() as recorder:
        some = await one_run(recorder, sections=("biolatency",))
        five = await one_run(recorder, sections=DEFAULT_SECTIONS)
    assert list(measured(some)) == ["biolatency"]
    assert some["completeness"]["verdict"] == "complete"
    assert list(measured(five)) == list(DEFAULT_SECTIONS)


async def test_details_are_reported_as_unavailable(autojump_clock: trio.abc.Clock) -> None:
    async with synthetic() as recorder:
        evidence = await one_run(recorder, details=("syscalls",))
    assert evidence["unavailable"] == {"syscalls": "--mock has no details"}
    assert evidence["completeness"]["verdict"] == "degraded"
    assert "syscall_details" not in evidence


# --- what the events are like


async def test_block_io_is_bimodal(autojump_clock: trio.abc.Clock) -> None:
    async with synthetic() as recorder:
        block = (await one_run(recorder, seconds=10))["biolatency"]
    cache, valley, disk = (
        count_between(block, *modes) for modes in ((0, 512), (512, 1024), (1024, 1 << 20))
    )
    assert min(cache, disk) > 0.1 * block["count"]
    assert valley < 0.01 * block["count"]
    assert block["with_queue"]["mean_us"] > block["mean_us"]


async def test_the_run_queue_has_a_tail(autojump_clock: trio.abc.Clock) -> None:
    async with synthetic() as recorder:
        waits = (await one_run(recorder, seconds=10))["runqlat"]
    assert waits["p50_us"] < 10
    assert waits["p99_us"] > 100 * waits["p50_us"]
    assert waits["max_us"] > 3 * waits["p99_us"]


@pytest.mark.parametrize("seed", range(5))
async def test_the_optimized_run_is_better_where_one_looks(
    autojump_clock: trio.abc.Clock, seed: int
) -> None:
    async with synthetic(seed) as recorder:
        baseline, optimized = [await one_run(recorder, s) for s in ("baseline", "optimized")]
    assert optimized["runqlat"]["p95_us"] < 0.5 * baseline["runqlat"]["p95_us"]
    assert optimized["biolatency"]["mean_us"] < 0.7 * baseline["biolatency"]["mean_us"]
    assert blocked_ms(optimized, "futex") < 0.9 * blocked_ms(baseline, "futex")


# --- the same seed, the same events


async def test_a_seed_determines_the_events(autojump_clock: trio.abc.Clock) -> None:
    runs = []
    for seed in (7, 7, 8):
        async with synthetic(seed) as recorder:
            runs.append([measured(await one_run(recorder)) for _ in range(2)])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert runs[0][0] != runs[0][1], "a repetition is no copy"


async def test_when_it_is_looked_at_does_not_matter(autojump_clock: trio.abc.Clock) -> None:
    looks: list[list[float]] = [[], [0.0001, 0.7, 0.70001, 1.99], [i / 50 for i in range(1, 149)]]
    runs = []
    for scraped_after in looks:
        async with synthetic() as recorder:
            runs.append(measured(await one_run(recorder, scraped_after=scraped_after)))
    assert runs[0] == runs[1] == runs[2]


# --- nothing of the evidence is made up: it says what the events say


async def test_a_kernel_that_counts_otherwise_fails_the_check(
    autojump_clock: trio.abc.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Machine.kernel_counts

    def more(machine: Machine) -> KernelCounts:
        counts = honest(machine)
        return KernelCounts(counts.context_switches * 3 // 2, counts.forks)

    monkeypatch.setattr(Machine, "kernel_counts", more)
    async with synthetic() as recorder:
        evidence = await one_run(recorder)
    assert evidence["completeness"]["verdict"] == "degraded"
    [failed] = [check["name"] for check in evidence["checks"] if not check["pass"]]
    assert failed == "context_switches"


async def test_what_the_ring_has_no_room_for_is_lost_and_counted(
    autojump_clock: trio.abc.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute of events at once, which nobody can read in between."""
    monkeypatch.setattr("agent.mock.collector.STEP_NS", 10**12)
    monkeypatch.setattr("agent.mock.collector.INTERVAL_S", 10**6)
    async with synthetic() as recorder:
        evidence = await one_run(recorder, seconds=120)
    waits = evidence["completeness"]["streams"]["runqlat"]
    assert waits["lost"] > 0
    assert waits["produced"] == waits["received"] + waits["lost"]
    assert evidence["completeness"]["verdict"] == "degraded"


async def test_an_agent_that_was_stopped_for_a_while_catches_up(
    autojump_clock: trio.abc.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.mock.collector.INTERVAL_S", 10**6)
    async with synthetic() as recorder:
        evidence = await one_run(recorder, seconds=60)
    assert evidence["completeness"]["verdict"] == "complete"
    assert evidence["runqlat"]["count"] > 100_000


async def test_scrapes_see_a_run_advance(autojump_clock: trio.abc.Clock) -> None:
    async with synthetic() as recorder:
        await recorder.start(StartRequest(Labels("baseline")))
        seen = []
        for _ in range(3):
            await trio.sleep(0.3)
            await recorder.refresh()
            [(labels, series)] = recorder.series
            waits = Shown(series).runqlat
            assert waits is not None
            seen.append(waits.count)
        evidence = await recorder.stop()
    assert labels.machine == "mock"
    assert 0 < seen[0] < seen[1] < seen[2] <= evidence["runqlat"]["count"]


async def test_the_rows_by_thread_add_up_to_the_waits(autojump_clock: trio.abc.Clock) -> None:
    async with synthetic() as recorder:
        waits = (await one_run(recorder))["runqlat"]
    for rows in (waits["by_thread"], waits["by_command"]):
        listed = sum(row["count"] for row in rows["top"]) + rows["other"]["count"]
        assert listed == waits["count"]
    assert waits["preempted_ms"] > 0


async def test_a_run_that_could_not_be_concluded_is_forgotten(
    autojump_clock: trio.abc.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(machine: Machine) -> None:
        raise RuntimeError("nobody thought of this")

    async with synthetic() as recorder:
        with monkeypatch.context() as patched:
            patched.setattr(Machine, "summaries", fails)
            evidence = await one_run(recorder)
        assert (evidence["available"], evidence["code"]) == (False, "internal_error")
        assert evidence["mock"] is True
        assert (await one_run(recorder))["completeness"]["verdict"] == "complete"


async def test_the_status_says_so(autojump_clock: trio.abc.Clock) -> None:
    async with synthetic() as recorder:
        started = await recorder.start(StartRequest())
        status = recorder.status()
        await recorder.stop()
    assert started["mock"] is True
    assert (status["mock"], status["machine"]) == (True, "mock")
    assert status["ebpf"] == {"available": None, "reason": None}, "it is not tried"
    assert [process["role"] for process in status["processes"]] == ["agent"]
    metrics = {metric.name: metric.samples for metric in recorder.internal_metrics()}
    assert metrics["chainbench_agent_mock"] == (({}, 1.0),)
    assert metrics["chainbench_agent_ebpf_available"] == (({}, 0.0),)
