"""Which tasks waited: the rows and the rest add up to the total, for any number of tasks."""

from typing import Any

from fakes.task_summaries import summaries
from hypothesis import given
from hypothesis import strategies as st

from agent.evidence.tasks import MAX_COMMANDS, OTHER, TOP, TaskTable, Waited
from agent.streams.collect.task_summaries import command

names = st.one_of(
    st.sampled_from([b"python3", b"sh", b"", b"(other)"]), st.binary(min_size=0, max_size=15)
)
tasks = st.fixed_dictionaries(
    {
        "tid": st.integers(1, 2**22 - 1),
        "comm": names,
        "wait_ns": st.integers(0, 2**50),
        "waits": st.integers(0, 2**31),
        "preempted_ns": st.integers(0, 2**40),
    }
)


def test_what_stands_behind_the_nul_is_not_of_the_name() -> None:
    """Kernels before 5.17 leave the end of a longer name there."""
    assert command(b"sh\0hon3") == "sh"
    assert command(b"\xffsh") == "\N{REPLACEMENT CHARACTER}sh"


def table(rows: list[dict[str, Any]]) -> TaskTable:
    table = TaskTable()
    table.take(summaries(*rows))
    return table


def summed(rows: list[dict[str, Any]]) -> Waited:
    """Sum up the waits; a task without a wait adds nothing."""
    waited = [row for row in rows if row["waits"]]
    return Waited(sum(r["wait_ns"] for r in waited), sum(r["waits"] for r in waited))


def count(breakdown: dict[str, Any]) -> int:
    return int(breakdown["other"]["count"] + sum(row["count"] for row in breakdown["top"]))


def total_us(breakdown: dict[str, Any]) -> float:
    shown = sum(row["total_us"] for row in breakdown["top"])
    return float(breakdown["other"]["total_us"] + shown)


@given(st.lists(tasks, max_size=60), st.integers(0, 1_000), st.integers(0, 10**9))
def test_rows_and_the_rest_are_the_total(
    rows: list[dict[str, Any]], unreported: int, unreported_ns: int
) -> None:
    """The total may hold more: tasks that lost their slot are not reported."""
    total = summed(rows)
    total.count += unreported
    total.ns += unreported_ns
    made = table(rows)
    for breakdown in (made.by_thread(total), made.by_command(total)):
        assert len(breakdown["top"]) <= TOP
        assert count(breakdown) == total.count
        assert abs(total_us(breakdown) - total.ns / 1e3) <= 1e-9 * total.ns + 1e-3
        waits = [row["total_us"] for row in breakdown["top"]]
        assert waits == sorted(waits, reverse=True)


@given(st.lists(tasks, max_size=40), st.integers(0, 40))
def test_it_does_not_matter_in_which_pieces_tasks_come(
    rows: list[dict[str, Any]], cut: int
) -> None:
    apart = TaskTable()
    apart.take(summaries(*rows[:cut]))
    apart.take(summaries(*rows[cut:]))
    total = summed(rows)
    assert apart.by_command(total) == table(rows).by_command(total)
    assert apart.by_thread(total) == table(rows).by_thread(total)


def test_where_events_were_lost_nothing_is_left_rather_than_less_than_nothing() -> None:
    made = table([{"waits": 10, "wait_ns": 1_000}])
    rest = made.by_thread(Waited(ns=600, count=4))["other"]
    assert rest == {"count": 0, "total_us": 0}


def test_names_are_bounded_and_the_rest_of_them_is_summed() -> None:
    rows = [
        {"tid": i + 1, "comm": b"storm-%d" % i, "waits": 1, "wait_ns": 5}
        for i in range(MAX_COMMANDS + 500)
    ]
    made = table(rows)
    assert len(made.commands) == MAX_COMMANDS + 1
    assert made.commands[OTHER] == Waited(2_500, 500)
    # the longest wait is shown first: here that is the sum
    assert made.by_command(summed(rows))["top"][0]["command"] == OTHER


def test_the_longest_waits_are_shown() -> None:
    rows = [{"tid": i + 1, "waits": 1, "wait_ns": i * 1_000} for i in range(100)]
    top = table(rows).by_thread(summed(rows))["top"]
    assert [row["tid"] for row in top] == list(range(100, 100 - TOP, -1))


def test_tasks_of_one_name_are_one_row_and_threads_stay_apart() -> None:
    rows = [{"tid": 1, "waits": 2, "wait_ns": 5_000}, {"tid": 2, "waits": 3, "wait_ns": 1_000}]
    made = table(rows)
    (row,) = made.by_command(summed(rows))["top"]
    assert (row["command"], row["count"], row["total_us"], row["mean_us"]) == ("python3", 5, 6, 1.2)
    assert [row["tid"] for row in made.by_thread(summed(rows))["top"]] == [1, 2]


def test_a_thread_with_another_number_in_the_agents_namespace_has_both() -> None:
    rows = [{"tid": 7, "local_tid": 7}, {"tid": 8, "local_tid": 3}, {"tid": 9, "local_tid": 0}]
    found = table(rows).by_thread(Waited())["top"]
    numbers = {row["tid"]: row.get("namespace_tid", "absent") for row in found}
    assert numbers == {7: "absent", 8: 3, 9: None}
