"""Signals that a task waits for."""

import gc
import signal
import sys
from collections.abc import Iterator
from types import FrameType

import pytest
import trio
from fakes.waiting import PATIENCE_SECONDS
from trio.testing import wait_all_tasks_blocked

from agent.processes.arrivals import arriving

ONE, ANOTHER = signal.SIGUSR1, signal.SIGUSR2

MANY = 400
"""More bytes, one at a time, than a pair of sockets takes."""


@pytest.fixture(autouse=True)
def _handlers_put_back() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (ONE, ANOTHER)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


async def test_a_task_waits_for_a_signal(nursery: trio.Nursery) -> None:
    arrived = trio.Event()

    async def wait() -> None:
        with arriving({ONE}) as one_arrives:
            assert await one_arrives() == ONE
            arrived.set()

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert not arrived.is_set()
    signal.raise_signal(ONE)
    with trio.fail_after(PATIENCE_SECONDS):
        await arrived.wait()


async def test_another_signal_does_not_end_the_wait() -> None:
    signal.signal(ANOTHER, lambda number, frame: None)
    with arriving({ONE}) as one_arrives:
        signal.raise_signal(ANOTHER)
        with trio.move_on_after(0.05) as waiting:
            await one_arrives()
    assert waiting.cancelled_caught


async def test_one_that_arrives_after_many_others_is_not_lost() -> None:
    """They fill the socket before anybody reads it."""
    signal.signal(ANOTHER, lambda number, frame: None)
    with arriving({ONE}) as one_arrives:
        for _ in range(MANY):
            signal.raise_signal(ANOTHER)
        signal.raise_signal(ONE)
        with trio.fail_after(PATIENCE_SECONDS):
            await one_arrives()


async def test_no_python_runs_for_a_signal_that_the_next_one_could_interrupt() -> None:
    """Handlers in each other, without end, made the agent exit with 1, or die of a signal."""
    called = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            called.append(frame.f_code)

    with arriving({ONE}) as one_arrives:
        gc.disable()  # a collection may call Python too (gc.callbacks)
        sys.setprofile(note)
        signal.raise_signal(ONE)
        sys.setprofile(None)
        gc.enable()
        await one_arrives()
    assert not called


async def test_in_the_end_they_are_ignored() -> None:
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    with arriving({ONE, ANOTHER}):
        pass
    assert {signal.getsignal(number) for number in (ONE, ANOTHER)} == {signal.SIG_IGN}
    assert signal.set_wakeup_fd(before) == before


async def test_afterwards_many_others_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """They fill the socket of Trio, which the interpreter would complain of on stderr."""
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    signal.signal(ANOTHER, lambda number, frame: None)
    with arriving({ONE}):
        pass
    for _ in range(MANY):
        signal.raise_signal(ANOTHER)
    assert not told
