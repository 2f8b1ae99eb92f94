"""Measuring a block of Trio: it may be cancelled, and no thread is waited for."""

import threading

import pytest
import trio
import trio.testing
from fakes.agent_server import Request
from fakes.run_agent import ONE_RUN, RunAgent
from fakes.waiting import PATIENCE_SECONDS

from agent.client import collect


async def test_a_block_that_is_cancelled_ends_its_run(agent: RunAgent) -> None:
    block = collect(agent.url)
    with trio.move_on_after(0) as scope:
        async with block:
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert agent.routes in ([], ONE_RUN)
    with trio.CancelScope() as scope:
        async with collect(agent.url):
            scope.cancel()
            await trio.sleep_forever()
    assert agent.routes[-4:] == ONE_RUN


async def test_cancelled_while_another_run_is_in_progress_it_begins_none(agent: RunAgent) -> None:
    agent.busy = 10**6
    with trio.CancelScope() as scope:
        token = trio.lowlevel.current_trio_token()

        def cancel_once_refused(_: Request) -> None:
            if agent.routes.count("POST /start") == 2:
                token.run_sync_soon(scope.cancel)

        agent.on_request = cancel_once_refused
        async with collect(agent.url, wait_s=PATIENCE_SECONDS):
            pass
    assert scope.cancelled_caught
    assert "POST /stop" not in agent.routes


async def test_threads_that_are_all_busy_are_not_waited_for(agent: RunAgent) -> None:
    trio.to_thread.current_default_thread_limiter().total_tokens = 1
    done = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, done.wait)
        await trio.testing.wait_all_tasks_blocked()
        try:
            async with collect(agent.url) as run:
                pass
        finally:
            done.set()
    assert run.evidence == agent.evidence


def test_elsewhere_than_in_trio_it_says_what_to_do() -> None:
    import asyncio

    async def measured() -> None:
        async with collect("http://127.0.0.1:1"):
            pass

    with pytest.raises(RuntimeError, match="use a plain with"):
        asyncio.run(measured())
