"""What is said to be missing of what was built, and that it costs no more than itself."""

from types import SimpleNamespace
from typing import Any

import pytest

from agent.sections.probes import ALL_DETAILS, SECTIONS
from agent.streams.compiler import compiler
from agent.streams.compiler.newer_kernels import PREEMPTED, Newer, may_preempt, unguarded
from agent.streams.compiler.planning import Possible
from agent.streams.shared import specs
from agent.streams.shared.causes import CannotCollect, cannot

SWITCHES = specs.DETAIL_SWITCHES
ON = dict.fromkeys(SWITCHES.values(), 1)


class Kernel:
    """A kernel that takes so many details at once; ``code``: the cause when it takes no more."""

    def __init__(self, patch: pytest.MonkeyPatch, most: int, code: str = "load_failed") -> None:
        self._most, self._code = most, code
        patch.setattr(compiler, "KernelTypes", lambda: None)
        patch.setattr(compiler, "newer_kernel", lambda *_: Newer())
        patch.setattr(compiler, "may_preempt", lambda _: False)
        patch.setattr(compiler, "possible", lambda _, on, sections: Possible(sections, on, {}))
        patch.setattr(compiler, "attempt", self._attempt)

    def _attempt(self, _: Any, constants: dict[str, int], *__: Any) -> compiler.Attempt:
        if sum(constants.values()) > self._most:
            raise cannot(self._code, "too many")
        return compiler.Attempt([], "")


def test_details_that_cannot_be_built_together_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Kernel(monkeypatch, most=1)
    unavailable = compiler.build(SECTIONS, ON).unavailable
    assert unavailable.keys() == set(ALL_DETAILS)
    assert all("can be built alone" in why and "too many" in why for why in unavailable.values())


def test_details_that_can_be_built_together_are_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    Kernel(monkeypatch, most=len(ON))
    assert compiler.build(SECTIONS, ON).unavailable == {}


def test_a_cause_that_concerns_all_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    Kernel(monkeypatch, most=1, code="kernel_refused")
    with pytest.raises(CannotCollect, match="too many"):
        compiler.build(SECTIONS, ON)


@pytest.mark.parametrize(
    ("has_field", "remedy", "missing"),
    [(True, {}, {specs.PREEMPTION}), (True, {1: 2}, set()), (False, {}, set())],
)
def test_where_programs_are_preempted_without_a_remedy_that_is_said(
    has_field: bool, remedy: dict[int, int], missing: set[str]
) -> None:
    types: Any = SimpleNamespace(
        place_of=lambda *path: 0 if has_field and path == PREEMPTED else None
    )
    newer = Newer(preemption=remedy, preempts=may_preempt(types))
    assert unguarded(newer).keys() == missing
