"""The short report of ``run`` and ``record``, and what a command took."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fakes.any_json import JSON
from fakes.sample_evidence import detailed, evidence, latency
from hypothesis import given
from hypothesis import strategies as st

from agent.sections.probes import SECTIONS
from agent.sections.shown import SHOWN
from agent.show.brief import brief
from agent.show.finished import OUTSIDE
from agent.show.layout import row
from agent.show.text import render
from agent.terminal.width import cells

COMMAND: dict[str, Any] = {
    "arguments": ["./benchmark", "--size", "10 MB"],
    "exit_status": 0,
    "signal": None,
    "wall_ms": 2310.0,
    "user_ms": 1200.0,
    "system_ms": 350.0,
    "max_resident_bytes": 45 << 20,
    "resident_floor_bytes": 18 << 20,
    "left_behind": [],
}


def rows(text: str) -> dict[str, str]:
    """Return the text next to each label, lines joined."""
    found: dict[str, str] = {}
    label = ""
    for line in text.splitlines():
        label = line[:10].strip() or label
        found[label] = f"{found.get(label, '')} {line[10:]}".strip()
    return found


def ones(value: Any) -> Any:
    """Return a document with 1 in place of every whole number."""
    if isinstance(value, dict):
        return {name: ones(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [ones(inner) for inner in value]
    return 1 if type(value) is int else value


def test_one_is_in_the_singular() -> None:
    """Rows are many, and ``others`` is the name of one."""
    whole = ones(detailed())
    for text in (brief(whole), render(whole)):
        words = re.findall(r"(?<![\d.,])1 ((?:other |more )?[a-z]{3,}s|CPUs)\b", text)
        assert set(words) <= {"others"}
        assert re.search(r"\b1 (exec|fork|request|wait|event|CPU)\b", text)


@pytest.mark.parametrize(
    ("ms", "ended", "told"),
    [
        (2100.0, "exit", f"210 ms of it {OUTSIDE}"),
        (2300.0, "exit", None),
        (2100.0, "stop", None),
        (None, "exit", None),
    ],
    ids=["much", "little", "of-the-run", "unknown"],
)
def test_the_report_says_what_of_the_time_is_in_no_part_of_the_wall_time(
    ms: float | None, ended: str, told: str | None
) -> None:
    whole = evidence(command=COMMAND, wall={"available": True, "wall_ms": ms, "ended": ended})
    text = " ".join(brief(whole).split())
    assert (told in text) if told else ("in no part" not in text)


def test_the_report_says_first_what_the_command_took() -> None:
    told = rows(brief(evidence(command=COMMAND)))
    assert list(told)[:4] == ["command", "ended", "time", "memory"]
    assert told["command"] == "./benchmark --size '10 MB'"
    assert told["ended"] == "with status 0"
    assert told["time"] == "2.31 s wall, 1.2 s user, 350 ms system (67.1 % of one CPU)"
    assert told["memory"] == "45 MiB resident in its largest process"


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (
            "waiting",
            "12,655 waits for a CPU, 45.6 ms total; p50 2.98 µs, p99 15.7 µs, max 1.89 ms",
        ),
        ("block I/O", "135 requests, p50 140 µs, p99 15.7 µs, max 1.89 ms"),
        ("blocked", "1.25 s, summed over tasks: futex 450 ms, read 300 ms, page_fault 750 µs"),
        ("execs", "12: python3 5, ls 3"),
        ("syscalls", "20,455: write 450"),
    ],
)
def test_each_section_has_a_line(label: str, said: str) -> None:
    whole = evidence()
    whole["syscall_counts"]["all"] = {"read": 8900, "futex": 1250, "x": 9600, "fsync": 25}
    told = rows(brief(whole))
    if label == "syscalls":
        assert told[label] == "20,455: x 9,600, read 8,900, futex 1,250, write 450, openat 230"
    else:
        assert told[label] == said


def test_failures_stand_out() -> None:
    whole = detailed()
    whole["exec"]["failures"] = {"EACCES": 1, "ENOENT": 7}
    whole["biolatency"]["by_operation"] = [
        {"device": "sda", "operation": "write", "count": 3, "error": "EIO"}
    ]
    told = rows(brief(whole))
    assert "failed: 7 ENOENT, 1 EACCES" in told["execs"]
    assert "sda: 3 write requests failed with EIO" in told["block I/O"]


def block(*reasons: str, requests: int = 0) -> str:
    left_out = [{"reason": reason, "count": 3, "device_ms": 1.5} for reason in reasons]
    section = latency(count=requests, not_in_histogram=left_out)
    return rows(brief(evidence(biolatency=section)))["block I/O"]


def test_requests_that_are_not_in_the_histogram_are_not_none() -> None:
    assert block("without_data") == "not in the histogram: 3 without data (1.5 ms)"


def test_what_others_did_on_the_machine_is_not_the_commands() -> None:
    whole = "on the whole machine meanwhile: 3 by kernel threads (1.5 ms)"
    assert block("kernel_threads") == f"none by tasks in scope; {whole}"
    both = f"not in the histogram: 3 without data (1.5 ms); {whole}"
    assert block("kernel_threads", "without_data") == both
    assert block("kernel_threads", requests=9).startswith("9 requests, p50 ")
    assert block("kernel_threads", requests=9).endswith(f"; {whole}")


def test_softirqs_are_those_of_the_whole_machine() -> None:
    vectors = [{"vector": "net_rx", "total_ms": 9.0}]
    ran = {"count": 1200, "total_ms": 12.0, "in_scope_ms": 3.5, "by_vector": vectors}
    told = rows(brief(evidence(softirq=ran)))["softirqs"]
    said = "on the whole machine 1,200 in 12 ms (3.5 ms on top of tasks in scope): net_rx 9 ms"
    assert told == said


@pytest.mark.parametrize("report", [brief, render])
def test_timing_by_accounting_says_which_waits_it_does_not_time(
    report: Callable[[dict[str, Any]], str],
) -> None:
    whole = evidence()
    assert "idle CPU" not in report(whole)
    whole["manifest"]["timing"] = "accounting"
    assert "one for an idle CPU mostly reads 0" in " ".join(report(whole).split())


def test_what_was_not_measured_says_why() -> None:
    whole = evidence(unavailable={"biolatency": "no tracepoint"})
    del whole["biolatency"]
    assert rows(brief(whole))["block I/O"] == "not measured: no tracepoint"


def test_nothing_is_said_of_what_is_not_there() -> None:
    nothing = evidence(runqlat=latency(count=0, p50_us=None), exec={"exec_count": 0})
    nothing["biolatency"] = latency(count=0)
    nothing["syscall_counts"] = {}
    told = rows(brief(nothing))
    assert told["waiting"] == "no wait for a CPU"
    assert told["block I/O"] == "no request"
    assert told["execs"] == "0"
    assert told["syscalls"] == "none"


def test_a_check_that_failed_is_quoted() -> None:
    assert "run_queue_wait: 2 ms by the agent's account" in brief(evidence())
    passed = evidence(checks=[{"name": "forks", "pass": True}])
    assert "Checks" not in brief(passed)


def test_without_evidence_the_reason_stands_once() -> None:
    none = {"available": False, "reason": "no agent", "command": COMMAND}
    assert rows(brief(none))["evidence"] == "none: no agent"
    assert "no agent" not in brief(none, reason_known=True)
    assert "2.31 s wall" in brief(none, reason_known=True)


def test_a_signal_and_what_is_left_are_named() -> None:
    left = [{"pid": n, "command": f"d{n}"} for n in range(100, 112)]
    killed = {**COMMAND, "exit_status": None, "signal": "SIGKILL", "left_behind": left}
    told = rows(brief(evidence(command=killed)))
    assert told["ended"] == "killed by SIGKILL"
    assert told["left"].startswith("running after its end: d100 (100), d101 (101), ")
    assert told["left"].endswith("d109 (109), 2 more")


def test_without_a_command_the_scope_and_the_time_come_first() -> None:
    told = rows(brief(detailed()))
    assert list(told)[:2] == ["measured", "time"]
    assert told["measured"].startswith("process 24 (bench), 5024 on the host")


def test_synthetic_events_are_told_first() -> None:
    assert brief(evidence(mock=True)).startswith("mock: synthetic events")


def test_labels_leave_room() -> None:
    assert max(len(shown.LABEL) for shown in SHOWN.values()) <= 9


@pytest.mark.parametrize("width", [20, 40, 80, 120])
@pytest.mark.parametrize("color", [False, True])
def test_nothing_is_wider_than_asked(width: int, color: bool) -> None:
    wide = detailed()
    wide["command"] = {**COMMAND, "arguments": ["x" * 300, "名" * 90]}
    assert max(map(cells, brief(wide, width, color).splitlines())) <= width


@given(st.fixed_dictionaries({}, optional=dict.fromkeys((*SECTIONS, "command"), JSON)))
def test_any_document_is_told(document: dict[str, Any]) -> None:
    assert brief(document).endswith("\n")
    assert render(document).endswith("\n")


@given(
    st.fixed_dictionaries(
        {name: st.dictionaries(st.text(max_size=5), JSON) for name in SECTIONS},
        optional={"command": st.fixed_dictionaries(dict.fromkeys(COMMAND, JSON))},
    )
)
def test_any_contents_are_told(document: dict[str, Any]) -> None:
    assert brief(document).endswith("\n")


def test_a_row_on_a_narrow_screen_is_folded_once() -> None:
    text = "seven words that take thirty-five columns, and more"
    assert row("label", text, 40) == (
        "label     seven words that take\n  thirty-five columns, and more\n"
    )
    assert row("label", text, 60) == (
        "label     seven words that take thirty-five columns, and\n          more\n"
    )
