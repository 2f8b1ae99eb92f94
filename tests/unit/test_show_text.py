"""What ``show`` prints of evidence in which everything is as it should be."""

from pathlib import Path
from typing import Any

import pytest
from fakes.sample_evidence import detailed, evidence, latency, status

from agent.show.text import render
from agent.terminal.width import cells
from agent.words import LONGEST_USUAL_GAP_MS

GOLDEN = Path(__file__).parent / "golden" / "evidence.txt"


def test_the_whole_document() -> None:
    assert render(evidence(), status(), 80) == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("width", [20, 33, 40, 59, 60, 79, 80, 100, 120])
def test_no_line_is_wider_than_asked(width: int, everything: bool) -> None:
    wide = detailed()
    wide["labels"] |= {"commit": "c" * 64, "dataset": "d" * 256, "variant": "广" * 90}
    wide["runqlat"]["by_command"]["top"][0]["command"] = "名" * 24
    wide["checks"][1]["text"] = "one" * 200
    for text in (
        render(wide, None, width, everything=everything),
        render(wide, None, width, everything=everything, color=True),
    ):
        assert max(map(cells, text.splitlines())) <= width
        assert "d" * 16 in text
        assert "verdict: degraded" in text.lower().replace("\x1b[33m", "").replace("\n", "")


def test_what_limits_a_run_is_no_detail_that_is_missing() -> None:
    why = {"preemption": "this kernel may preempt programs", "reasons": "they were refused"}
    text = render(evidence(unavailable={**why, "waking": "refused"}))
    assert (
        "Limits of this run\n"
        "  programs that the kernel preempts are not made up for: this kernel may preempt\n"
    ) in text
    assert "  the reasons for being blocked are unknown: they were refused\n" in text
    assert "Details\n  waking: not measured: refused\n" in text


def test_a_narrow_screen_has_the_figures_rather_than_the_bars() -> None:
    narrow, wide = render(evidence(), None, 30), render(evidence(), None, 80)
    assert "below 1 µs     12\n" in narrow
    assert "below 1 µs     12  ▏\n" in wide
    for text in (narrow, wide):
        figures = "".join(text.split())
        for figure in ("12,655samples,0lost", "p502.98", "8,900", "450ms36%", "python3"):
            assert figure in figures


def test_the_verdict_stands_before_the_figures_and_hooks_at_the_end() -> None:
    titles = [line for line in render(evidence()).splitlines() if line and line[0] != " "]
    assert titles[:3] == [
        "Kernel evidence",
        "Verdict: degraded",
        "Run-queue latency: runnable, waiting for a CPU",
    ]
    assert titles[-4:] == ["Checks: 2 of 3 passed", "Events", "Cost of collecting", "Hooks"]


@pytest.mark.parametrize(
    "line",
    [
        "  machine   bench-1, 16 CPUs\n",
        "  time      2026-03-01 10:11:12.050 – 10:11:14.240 UTC, 2.19 s\n",
        "  scope     process 24 (bench), 5024 on the host, started 2026-03-01\n",
        "  33.2 ms of the waiting followed a preemption\n",
        "   command  waits   total     mean\n  waiter-0     70  900 ms  11.5 µs\n",
        "  waiter-4     66  180 ms  15.5 µs\n    others    134  279 ms\n",
        "   254:0      write  kernel        39      0 B  12.1 ms           EIO\n",
        "   254:0       read  kernel        38  1.5 MiB  12.1 ms\n",
        "   254:0      flush  kernel        39      0 B  12.1 ms  without data\n",
        "  of which 201 ms uninterruptible, 1.05 s interruptible\n",
        "  stopped: 1.4 s by a signal, 100 ms by a tracer; 1 of 2 through the whole run\n",
        "  not included: 888 ms of kernel threads\n",
        "  waiting in\n",
        "  folio_wait_bit_common  21 in 145 ms  █",
        "  61 waits without a stack, 6.5 ms\n",
        "  15 attempts, 29 forks, 28 exits, 2 attempts whose result is not known\n",
        "\n  7 others     28  ",
        "Syscalls: from entry to return\n",
        "  syscall  calls     total  errors  interrupted  refused\n",
        "    futex    100       1 s       0            3        0\n",
        "  and 2 other syscalls\n",
        "  bios: not measured: this kernel has no block_bio_queue\n",
        "  unseen_switches 3, seccomp_tasks 8\n",
        "  3 MiB of kernel memory in maps\n",
        "  the agent did not read its buffers for 2.5 s\n",
        "  on_switch  5,150  2.75 ms  sched_switch\n",
        "  syscalls        tp_btf/sys_exit\n",
    ],
)
def test_what_is_in_the_file_can_be_seen(line: str) -> None:
    assert line in render(detailed())


@pytest.mark.parametrize(
    ("gap_ms", "is_said"),
    [(None, False), (1006.98, False), (LONGEST_USUAL_GAP_MS, False), (2100.0, True)],
    ids=["not known", "a usual second", "at the limit", "late"],
)
def test_a_time_without_a_read_is_said_only_where_it_is_a_problem(
    gap_ms: float | None, is_said: bool
) -> None:
    """An agent of a run in which little happens reads its buffers once a second."""
    late = evidence()
    late["overhead"]["longest_drain_gap_ms"] = gap_ms
    assert ("did not read its buffers" in render(late)) == is_said


NAIVE = "2026-03-01T10:11:12 – 2026-03-01 10:11:14 UTC"
"""Two times between which there is no telling how long it was."""


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ({}, "2.25 s, ended 2026-03-01 10:11:14.250 UTC"),
        (
            {
                "measured_from": "2026-03-01T23:59:59.5+00:00",
                "measured_to": "2026-03-02T00:00:01+00:00",
            },
            "2026-03-01 23:59:59.5 UTC – 2026-03-02 00:00:01 UTC, 1.5 s",
        ),
        (
            {
                "measured_from": "2026-03-01T23:59:59.123+00:00",
                "measured_to": "2026-03-01T23:59:59.123+00:00",
            },
            "2026-03-01 23:59:59.123 – 23:59:59.123 UTC, under 1 ms",
        ),
        ({"measured_from": "noon", "measured_to": "one"}, "noon – one"),
        ({"measured_from": "2026-03-01T10:11:12", "measured_to": "2026-03-01T10:11:14Z"}, NAIVE),
        ({"stopped_at": None, "duration_s": None}, ""),
    ],
)
def test_the_time_is_the_runs_own(times: dict[str, Any], shown: str) -> None:
    lines = render(evidence(**times)).splitlines()
    assert [line[12:] for line in lines if line.startswith("  time ")] == [shown] * bool(shown)


def test_failed_execs_are_shown_by_errno() -> None:
    failing = evidence()
    failing["exec"]["failures"] = {"EACCES": 3, "ENOENT": 1200}
    assert "12 execs; failed: 1,200 ENOENT, 3 EACCES\n" in render(failing)
    failing["exec"]["failures"] = {}
    assert "12 execs\n" in render(failing)


def test_time_stopped_is_told_apart_from_time_blocked() -> None:
    assert "stopped" not in render(evidence())
    stopped = evidence()
    stopped["offcpu"]["stopped_ms"] = 1_500.0
    assert "1.25 s blocked, summed over tasks; 1.5 s more stopped" in render(stopped)


def test_waits_that_had_not_ended_are_shown() -> None:
    longest = {"tid": 7, "command": "make", "ms": 550.0, "began_before_run": True}
    waiting = {"count": 3, "began_before_run": 1, "total_ms": 600.0, "longest": longest}
    text = render(evidence(runqlat=latency(waiting_at_stop=waiting)))
    line = "3 still waiting at the stop, the longest make, 550 ms"
    assert f"{line} and before the run\n" in text
    longest["began_before_run"] = False
    assert f"{line}\n" in render(evidence(runqlat=latency(waiting_at_stop=waiting)))
    none = {"count": 0, "began_before_run": 0, "total_ms": 0.0, "longest": {}}
    assert "still waiting" not in render(evidence(runqlat=latency(waiting_at_stop=none)))


def test_percentiles_of_nothing_are_absent_not_zero() -> None:
    nothing = dict.fromkeys(("min_us", "p50_us", "p95_us", "p99_us", "max_us"))
    text = render(evidence(runqlat=latency(histogram=[], count=0, **nothing)))
    assert "0 samples, 0 lost\n  min –   p50 –" in text


def test_a_sections_second_distribution_takes_one_line() -> None:
    text = render(evidence(biolatency=latency(queued={"histogram": [], "p50_us": 150.0})))
    assert "queued: p50 150 µs   p95 –   p99 –   max –" in text


def test_of_a_streams_counts_what_is_zero_is_left_out_but_for_what_was_lost() -> None:
    text = render(evidence())
    assert "lost 0" in text
    assert "clamped 2" in text
    assert "unmatched" not in text


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"kind": "system"}, "the whole machine"),
        (
            {"kind": "pid", "pid": 2, "command": "kthreadd", "process_started_at": "noon"},
            "process 2 (kthreadd), started noon",
        ),
        (
            {"kind": "cgroup", "cgroup": "/a", "cgroup_ids": [7], "cgroup_removed": False},
            "cgroup /a",
        ),
        (
            {"kind": "cgroup", "cgroup": "/a", "cgroup_ids": [7, 8], "cgroup_removed": True},
            "cgroup /a, created again, ids 7, 8, removed before the stop",
        ),
    ],
)
def test_the_tasks_that_the_run_covers_are_shown(scope: dict[str, Any], expected: str) -> None:
    assert f"\n  scope     {expected}\n" in render(evidence() | {"scope": scope})


def test_synthetic_numbers_are_marked() -> None:
    first, *_ = render(evidence(mock=True), color=True).splitlines()
    assert "mock: synthetic events; no number here was measured" in first
    assert render(evidence(mock=True)).startswith("mock: synthetic")
    assert "mock" not in render(evidence())


def test_colour_is_added_only_when_asked_for() -> None:
    plain, coloured = render(evidence()), render(evidence(), color=True)
    assert "\x1b" not in plain
    assert "\x1b[33mdegraded\x1b[0m" in coloured


def test_a_run_that_never_finished_says_so() -> None:
    assert render(evidence(state="partial")).startswith("partial: what was known last of a run")
    assert "partial" not in render(evidence(state="finished"))
