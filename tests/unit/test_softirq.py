"""Softirq events become rows: every event once, under its vector, with exact sums."""

from collections import Counter

import numpy as np
from fakes.collector import FakeCollector
from hypothesis import given
from hypothesis import strategies as st

from agent.evidence.accounts import Accounts
from agent.evidence.tasks import TaskTable
from agent.sections.softirq import proc_softirqs
from agent.sections.softirq.evidence import SoftirqFold
from agent.sections.softirq.layout import SOFTIRQ_VECTOR_BITS, SOFTIRQ_VECTORS, vector_name
from agent.sections.softirq.metrics import RUN, SECONDS, totals
from agent.streams.collect import task_summaries
from agent.streams.collect.observed import Stopped, StreamCounts
from agent.streams.drain.batches import Words
from agent.streams.shared.kernel_counts import Edge, KernelCounts
from agent.streams.shared.layout import LATENCY_BITS, LATENCY_MAX

Event = tuple[int, int, bool]
"""Nanoseconds, vector, whether a task of the scope was current."""

events = st.lists(
    st.tuples(st.integers(0, 10**9), st.integers(0, SOFTIRQ_VECTORS - 1), st.booleans()),
    max_size=80,
)


def words(made: list[Event]) -> Words:
    """Encode events as softirq.c writes them."""
    top = LATENCY_BITS + SOFTIRQ_VECTOR_BITS
    return np.array(
        [ns | vector << LATENCY_BITS | in_scope << top for ns, vector, in_scope in made], np.uint64
    )


def folded(made: list[Event]) -> SoftirqFold:
    fold = SoftirqFold(False, TaskTable())
    if made:
        fold.take(words(made))
    return fold


def stopped(kernel: dict[str, int]) -> Stopped:
    observed = FakeCollector()._observed()
    observed.streams["softirq"] = StreamCounts()
    before, after = (
        Edge(KernelCounts(), 0, 0, 0, "0", {"softirq": counts})
        for counts in (dict.fromkeys(kernel, 7), {name: n + 7 for name, n in kernel.items()})
    )
    return Stopped(1, observed, (before, after), task_summaries.none())


@given(events)
def test_every_event_is_in_its_vectors_row_once(made: list[Event]) -> None:
    section = folded(made).evidence(stopped({}), ["softirq"])
    counts = Counter(vector_name(vector) for _, vector, _ in made)
    assert {row["vector"]: row["count"] for row in section["by_vector"]} == counts
    assert section["count"] == len(made)
    assert round(section["total_ms"] * 1e6) == sum(ns for ns, _, _ in made)
    assert section["in_scope_count"] == sum(in_scope for _, _, in_scope in made)
    assert round(section["in_scope_ms"] * 1e6) == sum(ns for ns, _, scope in made if scope)
    times = [row["total_ms"] for row in section["by_vector"]]
    assert times == sorted(times, reverse=True)


def test_what_the_kernel_counted_beyond_ours_is_unseen() -> None:
    fold = folded([(5, 3, False)] * 10)
    section = fold.evidence(stopped({"net_rx": 12, "timer": 4}), ["softirq"])
    assert section["by_vector"][0]["unseen"] == 2
    assert section["unseen"] == 6
    assert folded([]).evidence(stopped({}), ["softirq"])["unseen"] is None


def test_each_vector_is_checked_by_itself() -> None:
    fold = folded([(5, 3, False)] * 1_000 + [(5, 1, False)] * 10)
    found = {
        c.name: c for c in fold.checks(stopped({"net_rx": 1_100, "timer": 10}).edges, Accounts())
    }
    assert {name: check.passed for name, check in found.items()} == {
        "softirq_net_rx": False,
        "softirq_timer": True,
    }


def test_metrics_have_counts_and_seconds_by_vector() -> None:
    shown = totals(folded([(10**9, 3, False), (5 * 10**8, 3, True)]), FakeCollector()._observed())
    assert shown[RUN.name].values == {"net_rx": 2}
    assert shown[SECONDS.name].values == {"net_rx": 1.5}


def test_a_latency_beyond_the_histogram_is_overflow() -> None:
    assert folded([(LATENCY_MAX, 2, False)]).overflow == 1


def test_the_kernels_page_is_read_by_vector(tmp_path, monkeypatch) -> None:
    page = tmp_path / "softirqs"
    page.write_text("            CPU0       CPU1\n  NET_RX:    3    4\n    SCHED:    1    0\n")
    monkeypatch.setattr(proc_softirqs, "SOFTIRQS", page)
    assert proc_softirqs.softirqs_run() == {"net_rx": 7, "sched": 1}
    monkeypatch.setattr(proc_softirqs, "SOFTIRQS", tmp_path / "none")
    assert proc_softirqs.softirqs_run() == {}


def test_what_is_no_row_of_a_vector_is_no_count(tmp_path, monkeypatch) -> None:
    """Something else may be mounted over the page."""
    page = tmp_path / "softirqs"
    page.write_bytes(b"CPU0\none two three\nHI:\nTIMER: \xff 1\n\x89: 1 two\n  RCU:  5  6\n")
    monkeypatch.setattr(proc_softirqs, "SOFTIRQS", page)
    assert proc_softirqs.softirqs_run() == {"rcu": 11}
    page.write_bytes(b"CPU0\nHI: " + b"9" * 5000 + b"\n  RCU:  5  6\n")
    assert proc_softirqs.softirqs_run() == {"rcu": 11}
