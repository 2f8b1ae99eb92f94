"""How the serving process ends when something goes wrong."""

import errno
import os
import traceback

import pytest
import trio
from fakes.limits import no_more_files

from agent.processes import collecting, launch
from agent.processes.arrivals import arriving
from agent.processes.serving import limit_met
from agent.settings import Settings
from agent.streams.shared import channel


def test_an_error_whose_report_fails_ends_the_process_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does not go on with what its supervisor was doing when it forked."""

    def fail(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(collecting, "serve_beside_supervisor", fail)
    monkeypatch.setattr(traceback, "print_exc", fail)
    ours, theirs = channel.pair()
    with ours, theirs:
        if (child := os.fork()) == 0:
            try:
                launch._be_the_agent(Settings(), [], theirs, os.getppid(), None, frozenset())
            finally:
                os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def test_a_limit_that_the_tasks_met_is_named() -> None:
    async def main() -> None:
        async with trio.open_nursery():
            with no_more_files(), arriving(()):
                pass

    with pytest.raises(BaseExceptionGroup) as ended:
        trio.run(main, strict_exception_groups=True)
    limit = limit_met(ended.value)
    assert limit is not None
    assert "the agent exits: Too many open files. A process may open " in limit.message


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "Input/output error"),
        ExceptionGroup("", [ValueError()]),
        ExceptionGroup("", [OSError(errno.EMFILE, "Too many open files"), ValueError()]),
    ],
)
def test_another_error_is_no_limit(error: Exception) -> None:
    assert limit_met(error) is None
