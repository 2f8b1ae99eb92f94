"""How the serving process ends when something goes wrong."""

import os
import traceback

import pytest

from agent.processes import collecting, launch
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
