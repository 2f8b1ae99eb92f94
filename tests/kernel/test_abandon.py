"""Runs that are abandoned, with the real supervisor."""

from pathlib import Path

import pytest
from fakes.collecting import Collecting, collecting
from fakes.processes import held
from fakes.program import program

from agent.streams.collect import collector as collector_module


def links(here: Collecting) -> set[int]:
    return held(here.collector.processes()["supervisor"], "link")


@pytest.mark.parametrize("transport", ["ring", "perf"])
async def test_an_abandoned_run_leaves_nothing_attached(tmp_path: Path, transport: str) -> None:
    with program("pingpong", 1_000) as players:
        async with collecting(tmp_path) as here:
            await here.start(players.pid, transport)
            assert links(here)
            await here.collector.abandon()
            assert not links(here)
            await assert_a_run_is_whole(here, players.pid, transport)


async def test_an_arming_that_fails_on_this_side_can_be_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    with program("pingpong", 1_000) as players:
        async with collecting(tmp_path) as here:
            with monkeypatch.context() as patch:
                patch.setattr(collector_module, "read_arming", broken)
                with pytest.raises(RuntimeError, match="a bug"):
                    await here.start(players.pid, "ring")
            # the supervisor did attach the programs, as requested
            assert links(here)
            await here.collector.abandon()
            assert not links(here)
            await assert_a_run_is_whole(here, players.pid, "ring")


async def assert_a_run_is_whole(here: Collecting, pid: int, transport: str) -> None:
    await here.start(pid, transport)
    assert links(here)
    stopped = await here.collector.stop()
    assert not links(here)
    assert not stopped.faults
