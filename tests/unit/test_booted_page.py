"""The page about booted kernels is made of what was booted, and of nothing else."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fakes.waiting import eventually

from tools.kernels import page, results
from tools.kernels.guest import Came
from tools.kernels.inside.tests import PYTEST, ended, outcomes
from tools.kernels.results import Row, in_order, keep, of_guest, problems, read
from tools.kernels.targets import DEFAULT, REST


def flat(text: str) -> str:
    """Undo the wrapping of lines."""
    return " ".join(text.split())


def short(**changes: Any) -> Row:
    return {
        "available": True,
        "reason": None,
        "sections": ["runqlat", "biolatency", "offcpu", "exec", "syscall_counts"],
        "unavailable": {},
        "verdict": "complete",
        "reasons": [],
        **changes,
    }


def booted(**changes: Any) -> Row:
    return {
        "target": "5.10-amd64",
        "when": "2026-03-01",
        "commit": "abc1234",
        "suite": "bookworm",
        "package": "linux-image-5.10.0-35-cloud-amd64 5.10.237-1",
        "about": {
            "kernel": "5.10.0-35-cloud-amd64",
            "machine": "x86_64",
            "cpus": 1,
            "page_size": 4096,
            "python": "3.11.2",
            "debian": "12.11",
        },
        "demo": short(exit_status=0, versions={"bcc": "0.26.0"}),
        "matrix": [
            short(missed=[]),
            short(
                missed=[],
                verdict="degraded",
                reasons=["check_failed: forks: 3, not 4", "lost: a: b"],
            ),
            short(
                missed=[],
                unavailable={"wait_functions": "no | helper"},
                verdict="degraded",
                reasons=["check_failed: forks: 1, not 2", "section_unavailable: no wait: none"],
            ),
            {"error": "409: busy"},
        ],
        "tests": {
            "passed": 3,
            "failed": {"test_exec.py::test_200_runs_of_a_command_are_200": "assert 1 == 2"},
            "skipped": {},
            "left_out": {},
        },
        **changes,
    }


def test_a_step_that_failed_in_the_guest_is_on_the_page_whichever_it_is() -> None:
    for step in ("demo", "matrix", "disks", "tests"):
        text = flat(page.text([booted(**{step: {"error": "Killed:\nno memory"}})]))
        assert "Killed: no memory" in text or (step == "tests" and "| failed |" in text)


def test_a_row_counts_what_was_whole() -> None:
    [line] = [line for line in page.table([booted()]).splitlines() if "5.10" in line]
    assert "Debian 12.11, Python 3.11.2, bcc 0.26.0" in line
    assert "5 of 5 sections, `complete`" in line
    assert "2 of 4 runs have everything; 1 `complete`, 2 `degraded`, 1 `no answer`" in line
    assert "3 passed, 1 failed" in line
    assert "2026-03-01, `abc1234`" in line


def test_a_panic_before_the_boot_that_succeeded_is_told() -> None:
    text = flat(page.text([booted(panics=["Kernel panic - not syncing: Fatal exception"])]))
    assert "ended with “Kernel panic - not syncing: Fatal exception”" in text
    assert "Emulated by QEMU 7.2." in flat(page.text([booted(emulator="QEMU 7.2")]))


def test_what_was_missing_has_its_reason() -> None:
    text = flat(page.text([booted()]))
    assert (
        "* **5.10-amd64** (5.10.0-35-cloud-amd64): `wait_functions`: no | helper (1 of 4 runs)"
        in text
    )
    assert "nothing, because of an error: 409: busy" in text
    assert "`check_failed` (forks) in 2 of 4 runs, for example “check_failed: forks: 3" in text
    assert "`lost` (a) in 1 of 4 runs" in text
    assert "`section_unavailable` in 1 of 4 runs" in text
    assert (
        "failed: `kernel/test_exec.py` `test_200_runs_of_a_command_are_200`: assert 1 == 2" in text
    )


def test_a_kernel_that_measured_nothing_says_so() -> None:
    nothing = short(available=False, reason="no BTF", sections=[], verdict="invalid")
    row = booted(demo=nothing, matrix=[])
    assert page.demo_cell(nothing) == "nothing measured"
    assert "nothing: no BTF (1 of 1 runs)" in flat(page.text([row]))
    assert problems(row)[0] == "demo: no BTF"


def test_a_kernel_that_was_not_booted_is_not_in_the_table_as_if() -> None:
    failed = {key: booted()[key] for key in ("target", "when", "commit", "suite")}
    failed["error"] = "no results from the guest; its console ends with:\nKernel | panic"
    text = page.text([failed])
    assert "not tried: no results from the guest" in text
    not_tried = text.partition("## Not tried")[2]
    assert "5.10-amd64" in not_tried
    assert "6.1-amd64" in not_tried
    assert "5.10-amd64" not in page.text([booted()]).partition("## Not tried")[2]
    assert problems(failed) == [failed["error"]]


def failed(**changes: Any) -> Row:
    row = {key: booted()[key] for key in ("target", "when", "commit", "suite", "package")}
    return {**row, "emulator": "QEMU", "error": "no results from the guest (Oops); x", **changes}


def test_a_guest_that_gave_no_results_was_tried() -> None:
    text = page.text([failed()])
    assert "| started: no results from the guest (Oops)" in text
    assert "5.10-amd64" not in text.partition("## Not tried")[2]


def test_a_boot_without_results_replaces_none_that_has_some(tmp_path: Path) -> None:
    file = tmp_path / "booted.json"
    keep(failed(), file)
    keep(booted(), file)
    [row] = keep(failed(commit="bad1234"), file)
    assert {**row, "later": None} == {**booted(), "later": None}
    text = flat(page.text([row]))
    assert "5 of 5 sections" in text
    assert "tried again on 2026-03-01 with `bad1234`: started: no results from the guest" in text
    [row] = keep(booted(commit="def5678"), file)
    assert "later" not in row


CLEAN = {
    "demo": short(exit_status=0),
    "matrix": [short(missed=[], timing="clock", scope="pid")],
    "tests": {"passed": 1, "failed": {}},
    "disks": [short(kind="dm", device="253:0", devices=[{"device": "253:0"}], checks={"a": True})],
}


def test_what_is_as_it_should_be_is_no_problem() -> None:
    assert problems(CLEAN) == []
    assert problems({**CLEAN, "steps": ["demo", "matrix_full", "disks", "tests"]}) == []
    assert problems({"demo": short(exit_status=0, verdict="degraded")}) == []


@pytest.mark.parametrize(
    ("step", "changes", "told"),
    [
        ("demo", {"exit_status": 1}, "demo: exited with status 1"),
        ("demo", {"verdict": "invalid", "reasons": ["lost: 3"]}, "demo: invalid: lost: 3"),
        ("demo", {"unavailable": {"exec": "no"}}, "demo: exec: no"),
        ("matrix", {"missed": ["exec is 0"]}, "matrix (clock, pid): exec is 0"),
        ("matrix", {"unavailable": {"bios": "no"}}, "matrix (clock, pid): bios: no"),
        ("matrix", {"available": False, "reason": "no"}, "matrix (clock, pid): no"),
        ("matrix", {"error": "409: busy"}, "matrix (clock, pid): 409: busy"),
        ("disks", {"available": False, "reason": "no"}, "disks (dm): no"),
        ("disks", {"checks": {"a": False}}, "disks (dm): check failed: a"),
        ("disks", {"devices": []}, "disks (dm): the evidence has no device 253:0"),
        ("tests", {"failed": {"test_x": "why"}}, "tests: test_x"),
        ("tests", {"passed": 0}, "tests: none passed"),
        ("tests", {"error": "not done"}, "tests: not done"),
        ("tests", {"cut_off": "not done after 9 s"}, "tests: not done after 9 s"),
    ],
)
def test_what_is_wrong_is_a_problem(step: str, changes: Row, told: str) -> None:
    came = CLEAN[step]
    wrong = [{**came[0], **changes}] if isinstance(came, list) else {**came, **changes}
    assert problems({**CLEAN, step: wrong}) == [told]


def test_what_a_kernel_cannot_have_is_no_problem_if_the_run_says_why() -> None:
    def row(**unavailable: str) -> Row:
        return {**CLEAN, "lacks": ["wall"], "matrix": [short(missed=[], unavailable=unavailable)]}

    assert problems(row(wall="no atomic instructions")) == []
    assert problems(row(wall="")) == ["matrix: wall: "]
    assert problems(row(wall="no", bios="no")) == ["matrix: bios: no"]


def test_only_5_10_cannot_have_something() -> None:
    assert {t.name: t.lacks for t in (*DEFAULT, *REST) if t.lacks} == {"5.10-amd64": ("wall",)}


def test_a_step_without_a_result_is_a_problem() -> None:
    row = {"steps": ["demo", "matrix_full"], "demo": CLEAN["demo"]}
    assert problems(row) == ["matrix: nothing came of it"]


def test_the_last_boot_of_a_target_replaces_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "booted.json"
    assert read(file) == []
    keep(booted(), file)
    keep(booted(target="6.1-amd64"), file)
    rows = keep(booted(commit="def5678"), file)
    assert [(row["target"], row["commit"]) for row in rows] == [
        ("6.1-amd64", "abc1234"),
        ("5.10-amd64", "def5678"),
    ]
    assert read(file) == rows == in_order(rows)


def test_long_messages_are_cut(tmp_path: Path) -> None:
    said = "refused: " + "x" * 1000 + " R1 invalid mem access"
    (tmp_path / "results.json").write_text(json.dumps({"demo": {"reasons": [said]}}))
    row = of_guest(Came(tmp_path, 12.3))
    assert row["boot_seconds"] == 12
    [cut] = row["demo"]["reasons"]
    assert len(cut) <= results.LONGEST_REASON
    assert (cut[:8], cut[-8:]) == (said[:8], said[-8:])


def test_no_word_is_cut_in_two(tmp_path: Path) -> None:
    said = " ".join(f"word{number}" for number in range(1000))
    (tmp_path / "results.json").write_text(json.dumps({"demo": {"reasons": [said]}}))
    [cut] = of_guest(Came(tmp_path, 12.3))["demo"]["reasons"]
    begin, end = cut.split(" … ")
    assert f"{said} ".startswith(f"{begin} ")
    assert f" {said}".endswith(f" {end}")
    assert page._line(cut) == cut
    assert 200 < len(cut) <= results.LONGEST_REASON


@pytest.mark.parametrize("cut", ["one two thr…our five", "one two …our five", "one two thr… five"])
def test_a_word_that_was_cut_in_two_is_not_on_the_page(cut: str) -> None:
    assert page._line(cut) == "one two … five"


def test_a_target_for_disks_alone_says_so_once() -> None:
    row = {**booted(disks=[]), "steps": ["disks"]}
    for step in ("demo", "matrix", "tests"):
        del row[step]
    text = page.text([row])
    assert page.NOT_RUN not in text
    assert text.count(f"| {page.ONLY_DISKS} |  |  |") == 1
    assert page.NOT_RUN in page.text([{**row, "matrix": [short(missed=[])]}])


def test_the_report_of_pytest_is_read(tmp_path: Path) -> None:
    report = tmp_path / "tests.xml"
    report.write_text(
        """<testsuites><testsuite>
        <testcase classname="tests.kernel.test_exec" name="test_a[ring]"/>
        <testcase classname="kernel.test_exec" name="test_b"><failure message="no"/></testcase>
        <testcase classname="kernel.test_exec" name="test_c"><skipped message="hm"/></testcase>
        </testsuite></testsuites>"""
    )
    found = outcomes(report)
    assert found["passed"] == 1
    assert found["failed"] == {"test_exec.py::test_b": "no"}
    assert found["skipped"] == {"test_exec.py::test_c": "hm"}


@pytest.mark.thorough
def test_what_ran_until_the_time_was_up_is_reported(tmp_path: Path) -> None:
    """Pytest writes its report when it is interrupted, and none when it is killed."""
    tests = tmp_path / "test_slow.py"
    tests.write_text(
        "import time, pathlib\n"
        "def test_a(): pass\n"
        f"def test_b(): pathlib.Path({str(tmp_path / 'begun')!r}).touch(); time.sleep(600)\n"
    )
    report = tmp_path / "tests.xml"
    running = subprocess.Popen([*PYTEST, f"--junitxml={report}", tests], cwd=tmp_path)
    eventually((tmp_path / "begun").exists)
    assert ended(running, 0.01) == {"cut_off": "not done after 0 s"}
    assert outcomes(report, cut_off=True)["passed"] == 1
    again = {**booted(), "tests": {**booted()["tests"], "cut_off": "not done after 9 s"}}
    assert "0 left out; not done after 9 s" in flat(page.text([again]))


@pytest.mark.skipif(not results.KEPT.exists(), reason="no kernel has been booted")
def test_the_page_is_made_of_what_was_booted() -> None:
    assert page.PAGE.read_text() == page.text(read())
