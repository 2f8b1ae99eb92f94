"""The budgets of threads, and by command, from reports as the kernel side writes them."""

import os
from typing import Any

import numpy as np
import pytest
from fakes.task_summaries import LIFE_NS, reports

from agent.evidence.tasks import MAX_COMMANDS, OTHER
from agent.sections.offcpu.threads import TOP, ThreadBudgets
from agent.streams.collect.task_summaries import from_file, reports_from_words
from agent.streams.shared.layout import (
    REASON_KERNEL_THREAD,
    REASON_PAGE_FAULT,
    REASON_UNKNOWN,
    SLOT_INTERRUPTIBLE,
    SLOT_RUNNABLE,
    SLOT_STOPPED,
)
from agent.words import Json

MS = 1_000_000
PARTS = ("on_cpu_ms", "waiting_ms", "blocked_ms", "stopped_ms", "unaccounted_ms")
NO_ROW = {"row_tid": 0, "began_ns": 0}


def found(*rows: dict[str, Any]) -> Json:
    budgets = ThreadBudgets()
    budgets.take(reports(*rows))
    return budgets.evidence()


def only(*rows: dict[str, Any]) -> Json:
    """Return the row of the only thread, whose parts make up its lifetime."""
    (row,) = found(*rows)["by_thread"]["top"]
    assert sum(row[part] for part in PARTS) == pytest.approx(row["lifetime_ms"], abs=1e-6)
    rest = row["blocked_ms"] - sum(of["ms"] for of in row["blocked_in"])
    assert row["blocked_other_ms"] == pytest.approx(rest, abs=1e-6)
    found_row: Json = row
    return found_row


def test_the_parts_of_a_life() -> None:
    row = only({"blocked": {REASON_UNKNOWN: MS, REASON_PAGE_FAULT: 3 * MS}})
    assert row == {
        "tid": 7,
        "command": "python3",
        "lifetime_ms": LIFE_NS / MS,
        "on_cpu_ms": 3,
        "waiting_ms": 2,
        "blocked_ms": 5,
        "stopped_ms": 0,
        "unaccounted_ms": 0,
        "blocked_in": [{"reason": "page_fault", "ms": 3}, {"reason": "unknown", "ms": 1}],
        "blocked_other_ms": 1,
    }


def test_what_is_still_open_at_the_stop_counts() -> None:
    waiting = only({"state": SLOT_RUNNABLE, "open_ns": MS, "now_ns": LIFE_NS + MS + 1})
    assert (waiting["waiting_ms"], waiting["unaccounted_ms"]) == (3, 0)
    # the summary has it among the time blocked already
    blocked = {"state": SLOT_INTERRUPTIBLE, "open_ns": 2 * MS, "reason": REASON_PAGE_FAULT}
    row = only({**blocked, "blocked": {REASON_PAGE_FAULT: 3 * MS}})
    assert row["blocked_in"] == [{"reason": "page_fault", "ms": 5}]
    assert row["blocked_other_ms"] == 0


def test_time_stopped_is_a_part_of_the_life() -> None:
    """Though not of the account, which is moved by as much."""
    life = {"born_ns": 1 + 4 * MS, "now_ns": LIFE_NS + 4 * MS + 1, "stopped_ns": 3 * MS}
    row = only({**life, "state": SLOT_STOPPED, "open_ns": MS})
    assert (row["stopped_ms"], row["unaccounted_ms"]) == (4, 0)
    assert row["lifetime_ms"] == LIFE_NS / MS + 4


def test_what_does_not_add_up_is_said() -> None:
    assert only({"oncpu_ns": 0})["unaccounted_ms"] == 3
    assert only({"oncpu_ns": 4 * MS})["unaccounted_ms"] == -1


def test_a_thread_without_a_row() -> None:
    """Its reasons are not known, nor is time stopped, which is not in its life then."""
    evidence = found({**NO_ROW, "blocked": {REASON_PAGE_FAULT: MS}})
    (row,) = evidence["by_thread"]["top"]
    assert row["blocked_in"] == []
    assert row["blocked_other_ms"] == row["blocked_ms"] == 5
    assert row["lifetime_ms"] == LIFE_NS / MS
    assert evidence["by_thread"]["without_reasons"] == 1


def test_a_row_whose_beginning_is_not_written_yet_is_none() -> None:
    """Otherwise the thread would have lived since the machine was started."""
    (row,) = found({"began_ns": 0})["by_thread"]["top"]
    assert row["lifetime_ms"] == LIFE_NS / MS


def test_a_thread_that_was_reported_before_is_not_another_one() -> None:
    """On its way to its last switch it has a slot again, and neither an origin nor a row."""
    evidence = found({**NO_ROW, "born_ns": 0})
    nothing = {"top": [], "threads": 0, "without_reasons": 0, "lost": 0, "left": 0}
    assert evidence["by_thread"] == nothing


def test_by_command() -> None:
    evidence = found(
        {"tid": 1, "comm": b"sh", "blocked": {REASON_PAGE_FAULT: MS}},
        {"tid": 2, "comm": b"sh", "blocked": {REASON_PAGE_FAULT: MS, REASON_UNKNOWN: 3 * MS}},
        {"tid": 3, "comm": b"cat", "blocked": {REASON_KERNEL_THREAD: MS}},
    )["by_command"]
    sh, cat = evidence["top"]
    assert (sh["command"], sh["threads"], cat["command"], cat["threads"]) == ("sh", 2, "cat", 1)
    assert (sh["lifetime_ms"], sh["on_cpu_ms"], sh["blocked_ms"]) == (2 * LIFE_NS / MS, 6, 10)
    assert sh["blocked_in"] == [
        {"reason": "unknown", "ms": 3},
        {"reason": "page_fault", "ms": 2},
    ]
    assert sh["blocked_other_ms"] == 5
    assert evidence["other"]["threads"] == 0


def test_only_the_longest_lives_are_listed_and_all_are_summed() -> None:
    lives = [
        {"tid": n, "comm": f"c{n}".encode(), "now_ns": n * MS} for n in range(20, 20 + 2 * TOP)
    ]
    evidence = found(*lives)
    tids = [row["tid"] for row in evidence["by_thread"]["top"]]
    assert tids == list(range(19 + 2 * TOP, 19 + TOP, -1))
    assert evidence["by_thread"]["threads"] == 2 * TOP
    commands = evidence["by_command"]
    assert [row["command"] for row in commands["top"]] == [f"c{tid}" for tid in tids]
    assert commands["other"]["threads"] == TOP
    of_all = sum(row["lifetime_ms"] for row in (*commands["top"], commands["other"]))
    assert of_all == pytest.approx(sum(life["now_ns"] - 1 for life in lives) / MS)


def test_the_number_of_commands_is_bounded() -> None:
    many = [{"tid": n + 1, "comm": f"c{n}".encode()} for n in range(MAX_COMMANDS + 5)]
    budgets = ThreadBudgets()
    budgets.take(reports(*many))
    rows = budgets.evidence()["by_command"]
    assert rows["top"][0]["command"] == OTHER
    assert rows["top"][0]["threads"] == 5
    assert sum(row["threads"] for row in rows["top"]) + rows["other"]["threads"] == len(many)


def test_in_whatever_portions_they_arrive() -> None:
    rows = [{"tid": n, "now_ns": 20 * MS + n, "blocked": {n: n}} for n in range(1, 60)]
    apart = ThreadBudgets()
    words = reports(*rows).view(np.uint64)
    for cut in (words[: 32 * 7], words[32 * 7 :]):
        apart.take(reports_from_words(cut))
    assert apart.evidence() == found(*rows)


@pytest.mark.parametrize("are_reports", [True, False])
def test_the_file_of_those_that_are_alive_at_the_stop(are_reports: bool) -> None:
    """A row that was not written to its end is left out."""
    alive = reports({"tid": 1}, {"tid": 2})
    fd = os.memfd_create("summaries")
    os.write(fd, (alive if are_reports else alive["summary"].copy()).tobytes() + b"cut")
    os.lseek(fd, 0, os.SEEK_SET)
    found, of_threads = from_file(fd, are_reports)
    assert found["tid"].tolist() == [1, 2]
    assert of_threads["row"]["tid"].tolist() == ([1, 2] if are_reports else [])
