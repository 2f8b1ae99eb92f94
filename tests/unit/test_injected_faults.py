"""Injected faults exist only in copies of the package, and fail if they no longer match it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import faults
from fakes.copied_package import Copy
from fakes.source_text import PACKAGE

from agent.streams.shared import specs

FAULTS_H = Path(faults.__file__).with_suffix(".h")


def contents(package: Path) -> dict[str, bytes]:
    """Return the contents of every file of a package, by name."""
    return {
        str(path.relative_to(package)): path.read_bytes()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_nothing_of_them_is_in_the_package() -> None:
    marks = re.compile(rb"TEST_FAULT|\bimport faults\b|\bfaults\.(h|py|json)")
    assert not [name for name, text in contents(PACKAGE).items() if marks.search(text)]
    assert FAULTS_H.name not in specs.SOURCES


def test_a_copy_is_the_package_but_for_its_start(tmp_path: Path) -> None:
    Copy(tmp_path)
    package, copy = contents(PACKAGE), contents(tmp_path / "agent")
    assert copy.keys() - package.keys() == {f"streams/probes/{FAULTS_H.name}"}
    assert [name for name in package if copy[name] != package[name]] == ["__main__.py"]


def start(copy: Copy) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "agent", "--version"],
        env={**os.environ, "PYTHONPATH": str(copy.folder)},
        cwd=copy.folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_copy_starts_with_and_without_faults(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    assert start(copy).returncode == 0
    for fault, arguments in {
        faults.requests_in_flight: (1,),
        faults.small_ring: (1,),
        faults.lets_go_on_sigusr1: (),
        faults.root_ends_early: (),
        faults.suspended_for_bytes_of: ("/dev/null",),
    }.items():
        copy.inject(fault, *arguments)
    done = start(copy)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("module", "name"),
    [("agent.streams.shared.layout", "MOST_REQUESTS"), ("agent.streams.shared.outlay", "X")],
)
def test_a_fault_of_something_that_is_gone_is_reported(
    tmp_path: Path, module: str, name: str
) -> None:
    copy = Copy(tmp_path)
    copy.inject(faults.attribute, module, name, 1)
    done = start(copy)
    assert done.returncode != 0
    assert name in done.stderr or "outlay" in done.stderr


def compiler_of(copy: Copy) -> "subprocess.CompletedProcess[str]":
    """Run a copy's compiler without a request, as far as it gets."""
    return subprocess.run(
        [sys.executable, "-I", str(copy.folder / faults.COMPILER.name), "-1"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_fault_of_the_compiler_that_is_gone_is_reported(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    for fault in (
        (faults.in_c, "NO_SUCH_FAULT"),
        (faults.runs_instead, "on_no_such_event", "out_of_bounds"),
        (faults.attached_elsewhere, "no_such_hook", "sys_enter"),
        (faults.wrong_kernel_function, "MARK_NOTHING"),
    ):
        copy.mend()
        copy.inject(*fault)
        assert "break_compiler" in compiler_of(copy).stderr, fault
    copy.mend()
    assert "break_compiler" not in compiler_of(copy).stderr
