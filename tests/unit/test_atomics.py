"""Whether programs may use the atomic instructions that the wall time needs."""

import errno
import os
import re
from pathlib import Path
from typing import NoReturn

import pytest

import agent
from agent.sections.offcpu.probe import WALL
from agent.streams.shared import bpf
from agent.streams.shared.plan import Plan
from agent.streams.supervisor import features
from agent.streams.supervisor.atomics import ATOMICS

ENOTSUPP = 524
PACKAGE = Path(agent.__path__[0])
SOURCES = sorted(path for kind in ("c", "h") for path in PACKAGE.rglob(f"*.{kind}"))
ADDS = re.compile(r"__(?:sync|atomic)_(?:fetch_(?:and_)?(?:add|sub)|(?:add|sub)_(?:and_)?fetch)\b")
SCOPED = Plan(scoped=True, details=(WALL.name,)).possible()


def refuse_with(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(name: str, code: bytes) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(bpf, "load_filter", refuse)


@pytest.mark.parametrize("number", [errno.EINVAL, ENOTSUPP])
def test_a_kernel_without_them_has_no_wall_time_and_everything_else(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse_with(monkeypatch, number)
    support = ATOMICS.support()
    assert support.supported is False
    assert support.code == ""
    assert "atomic" in support.reason
    assert features.possible(SCOPED, ATOMICS.support()) == Plan(scoped=True)


def test_what_cannot_be_tried_is_unknown_and_attempted(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_with(monkeypatch, errno.EPERM)
    assert ATOMICS.support().supported is None
    assert features.possible(SCOPED, ATOMICS.support()) == SCOPED


@pytest.mark.kernel
def test_this_kernel_is_asked() -> None:
    assert ATOMICS.support().supported in (True, False)


def test_results_of_additions_are_used_in_one_place() -> None:
    """LLVM 20 and later refuse them, for the processor that bcc compiles for; see kernel.h."""
    lines = [line.strip() for path in SOURCES for line in path.read_text().splitlines()]
    used = [line for line in lines if ADDS.search(line) and not ADDS.match(line)]
    assert used == ["return __sync_fetch_and_add(field, amount);"]
