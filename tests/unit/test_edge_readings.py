"""The kernel's own counts at an edge of a run, as the supervisor reports them."""

from hypothesis import given
from hypothesis import strategies as st

from agent.streams.shared.kernel_counts import Edge, KernelCounts, differences

EDGE = Edge(KernelCounts(), 0, 0, 0, "0-1", {"softirq": {"NET_RX": 7}})
counts = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3), max_size=4)


@given(counts, counts)
def test_two_readings_arrive_although_only_their_differences_are_sent(
    outer: dict[str, int], inside: dict[str, int]
) -> None:
    differing = differences({"biolatency": outer}, {"biolatency": inside})
    edge = EDGE.with_outer({"biolatency": outer}, differing)
    assert edge.outer["biolatency"] == outer
    # a count that is gone reads 0
    arrived = edge.sections["biolatency"]
    assert {name: count for name, count in arrived.items() if count} == {
        name: count for name, count in inside.items() if count
    }
    # what the supervisor does not read twice is ours
    assert edge.sections["softirq"] == {"NET_RX": 7}


def test_of_like_readings_nothing_is_sent() -> None:
    reading = {"biolatency": {"read_8:0": 1}}
    assert differences(reading, reading) == {"biolatency": {}}


def test_without_the_supervisor_our_own_reading_stays() -> None:
    assert EDGE.with_outer({}) == EDGE
