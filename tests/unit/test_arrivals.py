"""Signals that a task waits for."""

import signal
import sys
from collections.abc import Iterator
from types import FrameType

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from agent.processes.arrivals import arriving

ONE, ANOTHER = signal.SIGUSR1, signal.SIGUSR2


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
            await one_arrives()
            arrived.set()

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert not arrived.is_set()
    signal.raise_signal(ONE)
    with trio.fail_after(10):
        await arrived.wait()


async def test_another_signal_does_not_end_the_wait() -> None:
    signal.signal(ANOTHER, lambda number, frame: None)
    with arriving({ONE}) as one_arrives:
        signal.raise_signal(ANOTHER)
        with trio.move_on_after(0.05) as waiting:
            await one_arrives()
    assert waiting.cancelled_caught


async def test_no_python_runs_for_a_signal_that_the_next_one_could_interrupt() -> None:
    """Handlers in each other, without end, made the agent exit with 1, or die of a signal."""
    called = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            called.append(frame.f_code)

    with arriving({ONE}) as one_arrives:
        sys.setprofile(note)
        signal.raise_signal(ONE)
        sys.setprofile(None)
        await one_arrives()
    assert not called


async def test_in_the_end_they_are_ignored() -> None:
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    with arriving({ONE, ANOTHER}):
        pass
    assert {signal.getsignal(number) for number in (ONE, ANOTHER)} == {signal.SIG_IGN}
    assert signal.set_wakeup_fd(before) == before
