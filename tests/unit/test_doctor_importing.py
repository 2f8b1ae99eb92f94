"""Libraries are imported by another interpreter: whatever they do to it, each has an answer."""

import sys
from pathlib import Path

import pytest
from fakes.bare_python import bare_python, site_packages

from agent.doctor import importing

KILLED = "the interpreter that imported it was killed by SIGBUS"
KILLS = "import os, signal; os.kill(os.getpid(), signal.SIGBUS)"


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the libraries of the interpreter that tries them."""
    monkeypatch.setattr(sys, "executable", str(bare_python(tmp_path)))
    return site_packages(tmp_path)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", ""),
        ("print('[]'); import sys; print(file=sys.__stdout__)", ""),
        ("import threading, time; threading.Thread(target=time.sleep, args=[999]).start()", ""),
        ("import atexit, os; atexit.register(os._exit, 5)", ""),
        (KILLS, KILLED),
        ("import os; os._exit(0)", "the interpreter that imported it exited with status 0"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: "),
        ("raise AttributeError", "AttributeError: "),
        ("raise ImportError('\\n\\nREAD THIS\\n\\nlibx.so: no')", "ImportError: libx.so: no"),
        ("raise ImportError('\\x1b[31m')", "ImportError: \\x1b[31m"),
        ("import missing", "ModuleNotFoundError: No module named 'missing'"),
        ("x = (", "SyntaxError: '(' was never closed (tried.py, line 1)"),
    ],
)
def test_each_has_an_answer_whatever_it_does(libraries: Path, source: str, said: str) -> None:
    (libraries / "tried.py").write_text(source)
    assert importing.why_not([["json"], ["tried"], ["csv"]]) == ["", said, ""]


def test_the_first_module_of_a_library_that_fails_is_its_answer(libraries: Path) -> None:
    for name, source in {"ends": KILLS, "raises": "raise ValueError(1)", "fine": ""}.items():
        (libraries / f"{name}.py").write_text(source)
    tried = [["fine", "ends"], ["ends"], ["fine", "raises"], ["raises", "ends"], ["fine"]]
    answers = [KILLED, KILLED, "ValueError: 1", "ValueError: 1", ""]
    assert importing.why_not(tried) == answers


def test_what_is_left_of_one_that_was_removed_is_none(libraries: Path) -> None:
    (libraries / "left").mkdir()
    assert importing.why_not([["left"]]) == ["left is a folder without a module"]


@pytest.mark.thorough
def test_one_that_does_not_end_is_waited_for_no_longer(
    libraries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "SECONDS", 10.0)
    (libraries / "hangs.py").write_text("import time; time.sleep(999)")
    said = importing.why_not([["json"], ["hangs"], ["csv"]])
    assert said == ["", "it takes more than 10 s", ""]


def test_an_interpreter_that_does_not_begin_says_nothing_of_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fails := tmp_path / "python").write_text("#!/bin/sh\nexit 3\n")
    fails.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fails))
    with pytest.raises(OSError, match=r"no library could be tried: .* exited with status 3"):
        importing.why_not([["json"]])
