"""How a process ended, in words."""

import signal

import pytest

from agent.exit_status import FILTERED, how_it_ended


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (-signal.SIGSEGV, "was killed by SIGSEGV"),
        (-signal.SIGRTMIN, "was killed by SIGRTMIN"),
        (-(signal.SIGRTMIN + 2), "was killed by SIGRTMIN+2"),
        (-32, "was killed by signal 32"),
        (-signal.SIGSYS, f"was killed by SIGSYS ({FILTERED})"),
    ],
)
def test_it_is_the_end_of_a_sentence(code: int, said: str) -> None:
    assert how_it_ended(code) == said
