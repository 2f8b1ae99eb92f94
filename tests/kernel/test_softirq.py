"""Softirqs: each counts once, by vector; those on top of a task in scope are reported apart."""

import os

import pytest
from fakes.checks import checks_of
from fakes.program import program
from fakes.real_agent import RealAgent, hooks

from agent.sections.softirq.proc_softirqs import softirqs_run
from agent.words import Json

DATAGRAMS = 5_000
CPUS = os.cpu_count() or 1
HOOKS = {"softirq_entry", "softirq_exit"}


def by_vector(evidence: Json) -> dict[str, Json]:
    return {row["vector"]: row for row in evidence["softirq"]["by_vector"]}


def test_they_are_measured_by_name_only(agent: RealAgent) -> None:
    with agent.run() as plain:
        pass
    assert "softirq" not in plain.evidence
    assert "softirq" not in plain.evidence["completeness"]["streams"]
    assert not HOOKS & set(hooks(plain.evidence))
    with agent.run(sections=["softirq"]) as asked:
        pass
    assert asked.started["armed"] == ["softirq"]
    assert set(hooks(asked.evidence)) >= HOOKS


@pytest.mark.parametrize("timing", ["clock", "accounting"])
def test_counts_agree_with_the_kernels(agent: RealAgent, timing: str) -> None:
    """They lie between the growth of /proc/softirqs within the run and around it."""
    around = softirqs_run()
    with (
        program("datagrams") as sender,
        agent.run(sections=["softirq", "runqlat"], timing=timing) as run,
    ):
        within = softirqs_run()
        assert sender.work(str(DATAGRAMS))["sent"] == DATAGRAMS
        within = {name: count - within[name] for name, count in softirqs_run().items()}
    around = {name: count - around[name] for name, count in softirqs_run().items()}
    rows = by_vector(run.evidence)
    assert rows["net_rx"]["count"] >= DATAGRAMS * 0.99
    for name, least in within.items():
        count = rows[name]["count"] if name in rows else 0
        assert count >= min(least * 0.99, least - 50), name
        assert count <= max(around[name] * 1.01, around[name] + 50), name
    checks = checks_of(run.evidence)
    assert {check for check in checks if check.startswith("softirq_")} >= {"softirq_net_rx"}
    assert all(checks[name]["pass"] for name in checks if name.startswith("softirq_"))


def test_rows_add_up(agent: RealAgent) -> None:
    with program("datagrams") as sender, agent.run(sections=["softirq"]) as run:
        sender.work(str(DATAGRAMS))
    section = run.evidence["softirq"]
    rows = section["by_vector"]
    assert sum(row["count"] for row in rows) == section["count"]
    assert sum(row["total_ms"] for row in rows) == pytest.approx(section["total_ms"])
    stream = run.evidence["completeness"]["streams"]["softirq"]
    assert stream["received"] == section["count"]
    for row in rows:
        assert sum(bucket["count"] for bucket in row["histogram"]) == row["count"]
        assert 0 <= row["in_scope_ms"] <= row["total_ms"]
        assert row["in_scope_count"] <= row["count"]
        assert row["total_ms"] == pytest.approx(row["mean_us"] * row["count"] / 1e3)


def test_what_ran_on_top_of_the_scope_is_shown(agent: RealAgent) -> None:
    """Loopback receives a datagram while it is being sent, in a softirq on top of the sender."""
    with program("datagrams") as sender, program("datagrams") as other:
        with agent.run(sections=["softirq"], scope=sender.scope) as mine:
            sender.work(str(DATAGRAMS))
        with agent.run(sections=["softirq"], scope=other.scope) as others:
            sender.work(str(DATAGRAMS))
    received = by_vector(mine.evidence)["net_rx"]
    assert received["in_scope_count"] >= DATAGRAMS * 0.99
    assert received["in_scope_ms"] > 0
    received = by_vector(others.evidence)["net_rx"]
    assert received["count"] >= DATAGRAMS * 0.99
    assert received["in_scope_count"] == 0


@pytest.mark.thorough
def test_the_edges_of_a_run_leave_nothing_unmatched(agent: RealAgent) -> None:
    """Entries and exits are not attached at one moment, while softirqs go on."""
    with program("datagrams") as sender:
        sender.tell(str(100 * DATAGRAMS))
        for _ in range(20):
            with agent.run(sections=["softirq"]) as run:
                pass
            stream = run.evidence["completeness"]["streams"]["softirq"]
            assert stream["unmatched"] == 0
            assert stream["in_flight_at_start"] <= CPUS
            assert stream["in_flight_at_stop"] <= CPUS
        sender.hear()


def test_they_are_on_the_page_of_metrics(agent: RealAgent) -> None:
    with program("datagrams") as sender, agent.run(sections=["softirq"], commit="softirqs") as run:
        sender.work(str(DATAGRAMS))
    page = agent.metrics()
    count = by_vector(run.evidence)["net_rx"]["count"]
    (line,) = [
        line
        for line in page.splitlines()
        if line.startswith("chainbench_softirqs_total{")
        and 'commit="softirqs"' in line
        and 'vector="net_rx"' in line
    ]
    assert float(line.rpartition(" ")[2]) == count
